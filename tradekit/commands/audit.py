"""tradekit audit"""

import typer


def audit(ctx: typer.Context) -> None:
    """Do the books foot, and is every position watched? Silent and 0 when clean, 7 with findings.

    Changes nothing in the desk's books: safe at any time.
    """
    from tradekit.commands._output import show
    from tradekit.desk.audit import audit
    from tradekit.desk.open import open_desk
    from tradekit.errors import Findings
    from tradekit.reports.footing import Finding

    with open_desk(ctx.obj) as desk:
        findings = audit(desk)
    if findings or ctx.obj.format != "table":
        show(findings, ctx.obj.format, counts_as_idle=False, of=Finding)
    if findings:
        raise Findings(f"audit: {len(findings)} finding{'s' * (len(findings) > 1)}", findings[0].fix)
