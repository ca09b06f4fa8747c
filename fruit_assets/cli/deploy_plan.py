"""What `fruit-assets deploy` would change in the account: shown with its costs, confirmed, applied.

Put here the question and its answer. CloudFormation belongs in `fruit_assets/infra/stack.py`.
"""

from collections.abc import Mapping

import click
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from fruit_assets.cli.console import escape
from fruit_assets.infra.stack import Plan, Stack


def change_stack(console: Console, stack: Stack, parameters: dict[str, str], yes: bool) -> bool:
    """Show the plan, ask for confirmation, apply it. False when it was declined."""
    with console.status("Asking CloudFormation what would change"):
        plan = stack.plan(parameters)
    if plan.change_set is None:
        console.print(f"Stack [bold]{escape(stack.name)}[/]: nothing to change")
        return True
    _show(console, stack.name, plan)
    standing = standing_cost({**stack.parameters(), **parameters})
    console.print(f"Costs while no cluster runs: about {standing} USD a month, and 0.023 for each GB stored.")
    if not yes and not click.confirm("Make these changes?", default=False):
        stack.drop(plan)
        console.print("Nothing was changed.")
        return False
    with console.status("Changing") as status:
        stack.apply(plan, lambda line: status.update(f"Changing: {line}"))
    console.print(f"Stack [bold]{escape(stack.name)}[/]: {escape(str(stack.status()))}")
    return True


def standing_cost(parameters: Mapping[str, str]) -> int:
    """USD per month of what costs by the hour or month, us-east-1, list prices of November 2026.

    A NAT gateway at 0.045 and an endpoint in two zones at 0.01 each an hour, a key at 1 a month.
    """
    network = round(730 * (0.045 + 2 * 0.01)) if parameters.get("Network", "private") == "private" else 0
    return network + (1 if parameters.get("Encryption") == "kms" else 0)


def _show(console: Console, name: str, plan: Plan) -> None:
    table = Table(
        "", "Resource", "Kind", "", title=escape(f"{'New stack' if plan.is_new else 'Stack'} {name}"), box=None
    )
    signs = {"Add": "[green]+[/]", "Modify": "[yellow]~[/]", "Remove": "[red]-[/]", "Import": "[cyan]>[/]"}
    for change in plan.changes:
        note = "[red]replaced: a new one takes its place[/]" if change.replaced else ""
        table.add_row(signs.get(change.action, escape(change.action)), Text(change.resource), Text(change.kind), note)
    console.print(table)
    if plan.template_diff:
        console.print(Syntax(plan.template_diff, "diff", background_color="default"))
