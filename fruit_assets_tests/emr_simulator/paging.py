"""Pages of EMR's lists: fifty entries and a marker."""

from typing import Any

from fruit_assets_tests.emr_simulator.serialisation import invalid_request

PAGE_SIZE = 50


def page(name: str, entries: list[dict[str, Any]], params: dict[str, Any]) -> dict[str, Any]:
    """The page that the `Marker` of a request asks for, under the name of the list."""
    marker = params.get("Marker", "0")
    if not marker.isdigit():
        raise invalid_request(f"Marker '{marker}' is not valid.")
    start = int(marker)
    answer: dict[str, Any] = {name: entries[start : start + PAGE_SIZE]}
    if len(entries) > start + PAGE_SIZE:
        answer["Marker"] = str(start + PAGE_SIZE)
    return answer
