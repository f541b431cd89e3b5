"""What the sandbox keeps a record of, one class a kind. All times are virtual milliseconds since 1970."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from reasoning_cli.sandbox.http.shapes import Json

MILLISECONDS_PER_HOUR = 3_600_000


@dataclass
class Behaviour:
    """How the stand-in acts; all of it can be changed while it runs. Seconds are virtual.

    After becoming ready a deployment answers the first `flap_calls` chat requests, and all of the first
    `flap_seconds`, as if it were not running. A remote upload breaks off `upload_errors` times.
    """

    provisioning_seconds: int = 120
    scaling_seconds: int = 180
    stopping_seconds: int = 60
    never_ready: bool = False
    fail_start: bool = False
    quota_replicas: int = 8
    flap_calls: int = 0
    flap_seconds: int = 0
    upload_seconds: int = 120
    upload_errors: int = 0
    validation_seconds: int = 60
    fail_validation: bool = False
    billing_enabled: bool = False
    fail_gates: bool = False
    file_check_seconds: int = 30
    fail_file_check: str = ""  # or how: invalid_format, failed
    queue_seconds: int = 60
    training_seconds: int = 600
    saving_seconds: int = 60  # twice: compressing, then uploading
    fail_job: str = ""  # or how, half-way through: error, user_error, billing_limit
    register_results: bool = True
    spending_limit_dollars: float = 100.0
    insufficient_balance: bool = False
    retired_base: str = ""  # the name of a model that can no longer be fine-tuned
    capital_events: bool = False
    # What only the live service can tell. The defaults are what the program assumes.
    separate_arrays: bool = False  # a list in a query is a repeated key, and a comma is part of a value
    event_days: int = 0  # how long events are there; 0 is for ever
    unique_endpoints: bool = True
    routes_first: bool = False  # the first deployment of an endpoint is routed by itself
    takes_empty_split: bool = True
    scaled_counts: str = "ready"  # or "desired": which replicas the event of a scaling counts
    idle_counts: str = "requests"  # or "ready", "reads": what the idle time is counted from
    analytics_delay_seconds: int = 0
    upload_checks: bool = False  # a file sent in one request is checked without being told
    long_samples: str = "cut"  # or "split", "kept"
    billed_percent: int = 100  # of the price that is shown
    bills_cold_start: bool = False
    billing_rounding: str = "exact"  # or "up", "down": to whole minutes of each time that something was ready
    billing_minimum_seconds: int = 0
    extra_members: bool = False  # deployments have a member and a state that nobody documented


@dataclass(kw_only=True, eq=False)
class Metered:
    """Something that is billed for the time its replicas are ready.

    `spans` holds [begin, end, ready replicas, cents per replica and hour], oldest first and only where something was
    ready: the bill, exact, whatever happens to the price later. `metered_at` is how far it has come.
    """

    hardware: str
    price_cents_per_hour: int
    metered_at: int
    ready: int = 0
    spans: list[list[int]] = field(default_factory=list)

    def meter_until(self, at: int) -> None:
        """Bring the meter up to `at`; to be called before `ready` or the price changes."""
        if self.ready and at > self.metered_at:
            last = self.spans[-1] if self.spans else None
            if last and last[1:] == [self.metered_at, self.ready, self.price_cents_per_hour]:
                last[1] = at
            else:
                self.spans.append([self.metered_at, at, self.ready, self.price_cents_per_hour])
        self.metered_at = at

    @property
    def replica_ms(self) -> int:
        """Ready replicas x time."""
        return sum((end - begin) * replicas for begin, end, replicas, _ in self.spans)

    def cost_cents(self) -> Fraction:
        """What the meter shows so far, exact."""
        milli = sum((end - begin) * replicas * cents for begin, end, replicas, cents in self.spans)
        return Fraction(milli, MILLISECONDS_PER_HOUR)


@dataclass(eq=False)
class Endpoint:
    """`split` maps deployment ids to weights, in the order given."""

    id: str
    name: str
    created_at: int
    updated_at: int
    sequence: int
    visibility: str = "VISIBILITY_PRIVATE"
    split: dict[str, float] = field(default_factory=dict)
    version: int = 1
    deleted_at: int | None = None

    @property
    def etag(self) -> str:
        return f"{self.id}-{self.version}"


@dataclass(kw_only=True, eq=False)
class Deployment(Metered):
    """One deployment, its life and its meter.

    `transition_at` is when the present state ends by itself, `started_at` when the present start began, `active_at`
    the later of becoming ready and the last chat request. `flap_calls` chat requests, and those before `flap_until`,
    find it not running. `usage` holds [minute, successful, failed, input tokens, output tokens].
    """

    id: str
    endpoint_id: str
    name: str
    model_id: str
    model_path: str
    model_name: str
    revision_id: str
    config_id: str
    created_at: int
    updated_at: int
    sequence: int
    min_replicas: int
    max_replicas: int
    scaling: Json
    inactive_minutes: int = 0
    max_concurrent: int | None = None
    placement: Json | None = None
    version: int = 1
    state: str = "PROVISIONING"
    message: str = ""
    desired: int = 0
    scheduled: int = 0
    transition_at: int | None = None
    started_at: int = 0
    active_at: int = 0
    flap_calls: int = 0
    flap_until: int = 0
    usage: list[list[int]] = field(default_factory=list)
    deleted_at: int | None = None

    @property
    def etag(self) -> str:
        return f"{self.id}-{self.version}"


@dataclass(kw_only=True, eq=False)
class LegacyEndpoint(Metered):
    """A dedicated endpoint of v1: model and hardware in one."""

    id: str
    name: str
    display_name: str
    model: str
    created_at: int
    sequence: int
    min_replicas: int
    max_replicas: int
    started_at: int
    inactive_minutes: int = 0
    state: str = "STARTED"
    stopping_at: int = 0
    deleted_at: int | None = None


@dataclass(kw_only=True, eq=False)
class RemoteUpload:
    """Weights that the service fetches; `transition_at` is when the present status ends by itself."""

    id: str
    model_id: str
    remote_url: str
    created_at: int
    updated_at: int
    sequence: int
    status: str = "PENDING"
    message: str = ""
    restarts: int = 0
    transition_at: int | None = None
    events: list[Json] = field(default_factory=list)


@dataclass(kw_only=True, eq=False)
class FileUpload:
    """One file on its way from the client; `parts` maps the number of a part that arrived to (ETag, bytes)."""

    id: str
    model_id: str
    path: str
    hash: str
    part_count: int
    signature: str
    parts: dict[str, tuple[str, int]] = field(default_factory=dict)


@dataclass(kw_only=True, eq=False)
class StoredFile:
    """A file that was registered; `size` is 0 until its bytes are there, which are kept under `checksum`.

    `upload_id` and the number of parts are those of an upload in parts, `parts` maps the number of one that arrived to
    its ETag. `status` is that of the check, and `transition_at` when it ends by itself.
    """

    id: str
    name: str
    purpose: str
    file_type: str
    checksum: str
    signature: str
    created_at: int
    sequence: int
    size: int = 0
    upload_id: str = ""
    part_count: int = 0
    parts: dict[str, str] = field(default_factory=dict)
    status: str = "PENDING"
    transition_at: int | None = None
    report: Json | None = None
    lines: int = 0
    tokens: int = 0


@dataclass(kw_only=True, eq=False)
class FineTune:
    """A fine-tuning job; prices in nano-dollars, the ids those of the models it left.

    `asked` is what the request had of the members that are echoed. `transition_at` is when the present status ends by
    itself, `running_at` and `stopped_at` bound the training, whose whole length would be `running_ms`. `checksums` are
    those of all texts it is trained on, what it goes on from included. `events` holds [at, type, level, message].
    """

    id: str
    model: str
    suffix: str
    kind: str
    status: str
    training_file: str
    token_count: int
    total_price: int
    created_at: int
    sequence: int
    model_id: str | None = None
    adapter_id: str | None = None
    base_id: str = ""
    asked: Json = field(default_factory=dict)
    full_price: int = 0
    lines: int = 0
    file_bytes: int = 0
    total_steps: int = 0
    updated_at: int = 0
    stage_at: int = 0
    running_at: int | None = None
    running_ms: int = 0
    stopped_at: int | None = None
    transition_at: int | None = None
    deleted_at: int | None = None
    checksums: list[str] = field(default_factory=list)
    events: list[tuple[int, str, str, str]] = field(default_factory=list)
    checkpoints: list[tuple[int, str]] = field(default_factory=list)  # (step, id of a model), the last one left out


@dataclass(kw_only=True, eq=False)
class Rollout:
    """A shift of traffic from one deployment to another.

    `steps` holds [percent on the target, state, started, completed]; `step` is the present one, -1 before the first.
    `transition_at` is when the present state, or step, ends by itself; `problem` is [category, message].
    """

    id: str
    endpoint_id: str
    source_id: str
    target_id: str
    strategy: str
    steps: list[list[int | str | None]]
    interval_ms: int
    has_gates: bool
    final_source: int
    final_target: int
    created_at: int
    updated_at: int
    sequence: int
    state: str = "PENDING"
    step: int = -1
    started_at: int | None = None
    completed_at: int | None = None
    paused_at: int | None = None
    reason: str | None = None
    problem: list[str] = field(default_factory=list)
    transition_at: int | None = None
    version: int = 1

    @property
    def etag(self) -> str:
        return f"{self.id}-{self.version}"

    @property
    def is_active(self) -> bool:
        return self.state not in {"PENDING", "COMPLETED", "CANCELED"}

    @property
    def percent(self) -> int:
        """Of the traffic, on the target."""
        return int(self.steps[self.step][0] or 0) if self.step >= 0 else 0


@dataclass(kw_only=True, eq=False)
class Adapter:
    """A LoRA adapter on a deployment; loaded some time after `loading_since`."""

    id: str
    deployment_id: str
    model_id: str
    model_path: str
    revision_id: str
    created_at: int
    sequence: int
    loading_since: int
    is_loaded: bool = False
    version: int = 1

    @property
    def etag(self) -> str:
        return f"{self.id}-{self.version}"
