"""How the check of a file looks: the verdict, the reasons by count, the first lines; and the record for machines."""

from __future__ import annotations

from dataclasses import asdict

from reasoning_cli.commands._shared.sample_views import Fact
from reasoning_cli.operations.data.validate.file import FileCheck
from reasoning_cli.terminal.units import counted, percent, size
from reasoning_cli.values import spell_model_type


def check_lines(found: FileCheck) -> tuple[list[str], list[Fact]]:
    """The verdict and what is in the file, then each reason with its count, then the first lines."""
    kinds = " and ".join(found.kinds) or found.fmt
    refused, warned = sum(found.refusals.values()), sum(found.warnings.values())
    verdict = "Together would refuse it" if refused else "Together takes it"
    lines = [
        f"{verdict}: {counted(found.samples, 'sample')} ({kinds}), {size(found.size_bytes)},"
        f" about {counted(found.tokens, 'token')}, the longest {found.longest:,}"
    ]
    for name, counts in found.decisions.items():
        total = sum(counts.values())
        shares = ", ".join(f"{item} {percent(count / total)}" for item, count in list(counts.items())[:4])
        lines.append(f"{spell_model_type(name)}: {total:,} ({shares})")
    if found.secrets:
        kinds = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in found.secrets.items())
        lines.append(f"secrets and personal data: {kinds}")
    if not refused and not warned:
        lines.append("no problems found")
    facts = [("refused", f"{count:,}  {reason}") for reason, count in found.refusals.items()]
    facts += [("warning", f"{count:,}  {reason}") for reason, count in found.warnings.items()]
    facts += [(f"line {flaw.line:,}", flaw.reason) for flaw in found.flaws if flaw.line]
    shown = sum(1 for flaw in found.flaws if flaw.line)
    if (more := refused + warned - len(found.flaws)) and shown:
        facts.append(("", f"and {more:,} more; `--lines N` names more lines"))
    return lines, facts


def check_record(found: FileCheck) -> dict[str, object]:
    """A check for machines."""
    return {"accepted": found.accepted, **asdict(found)}
