"""What an engine may be able to do. `reasoning_cli.engines.clients` has the calls of each."""

from __future__ import annotations

from enum import StrEnum


class Feature(StrEnum):
    """What an engine can do."""

    ANSWER = "answer"  # questions of a slot
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


CLOUD = frozenset(Feature) - {Feature.LIST, Feature.PRICE_BY_TOKEN}  # what one does that a whole account is kept with
