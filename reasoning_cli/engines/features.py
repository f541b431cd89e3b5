"""What an engine may be able to do. `reasoning_cli.engines.clients` has the calls of each."""

from __future__ import annotations

from enum import StrEnum


class Feature(StrEnum):
    """What an engine can do."""

    ANSWER = "answer"  # questions of a slot
    ABSTAIN = "abstain"  # it decides what it is sure of, and leaves the rest to who is asked after it
    CONFIDENCE = "confidence"  # it tells how probable its answers are
    LIST = "list"  # what a server that is up serves
    SERVE = "serve"  # it brings models up, by hardware and endpoint
    STOP = "stop"  # and takes them down again, so that they cost nothing
    ADAPTERS = "adapters"  # LoRA adapters ride on a deployment of their base
    PRICE_BY_HOUR = "price by the hour"
    PRICE_BY_TOKEN = "price by the token"
    TRAIN = "train"
    FILES = "files"  # it is sent what is trained on
    UPLOAD = "upload"  # it takes weights
    BILL = "bill"  # it shows what it charged
    DOCUMENTED = "documented"  # its answers can be held against its documents: `doctor --live`
    LEGACY = "legacy"  # endpoints of an older API may still run there


# What one does that an account is kept with: its models, jobs and money are followed in the ledger.
CLOUD = frozenset(Feature) - {Feature.ABSTAIN, Feature.LIST, Feature.PRICE_BY_TOKEN}
