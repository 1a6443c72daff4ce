"""The tables of docs/results/perspective.md: tables 6 and 7 of the paper, and narrowing the scope."""

from collections.abc import Mapping
from typing import Any

from bench.pages.markdown import PageTable, number, with_interval

JUDGES = (
    *("linear_probe", "linear_probe_words", "prompt_learning", "vision_language"),
    *("q16", "multi_headed", "sd_filter", "nsfw_detector", "nude_net", "q16+nude_net"),
)
SETS = {
    "in_distribution": "in distribution",
    "in_distribution_singles": "of it, one pictogram",
    "held_out_style": "style",
    "held_out_concepts": "concepts",
    "held_out_generator": "generator",
    "second_vendor": "second vendor",
    "smid_layout": "`smid_layout`",
    "base64_layout": "`base64_layout`",
}
ATTACKS = {"gaussian": "noise", "fgsm": "FGSM", "pgd": "PGD", "deep_fool": "DeepFool"}
PROTOCOLS = ("unsafebench_compat", "pixel_linf")


def table_6(results: Mapping[str, Any]) -> PageTable:
    """F1 of each judge on each set, and the mean over the sets out of distribution."""
    table = results["table6"]
    rows = [
        [f"`{judge}`", *(with_interval(table[judge][name]) for name in SETS), number(table[judge]["ood_average"])]
        for judge in (*JUDGES, "flag_everything")
    ]
    n = ["n", *(str(table["flag_everything"][name]["n"]) for name in SETS), ""]
    return PageTable(("judge", *SETS.values(), "OOD average"), [*rows, n])


def narrowing(results: Mapping[str, Any]) -> PageTable:
    """What a narrower scope does to the answers about unsafe pictures."""
    rows = [
        [
            f"`{judge}`",
            with_interval(one["safe_outside"]),
            with_interval(one["unsafe_inside"]),
            str(one["safe_outside"]["n"]),
        ]
        for judge, one in results["narrowing"].items()
    ]
    return PageTable(
        ("method", "safe once their categories are out of scope", "still unsafe with only these", "n"), rows
    )


def table_7(results: Mapping[str, Any]) -> PageTable:
    """Robust accuracy by judge, set and protocol."""
    rows = []
    for judge in JUDGES:
        for name in ("in_distribution", "held_out_generator"):
            for protocol in PROTOCOLS:
                of_set = results[judge][name]
                if protocol not in of_set:
                    continue
                one, unsafe = of_set[protocol], f"{of_set['unsafe']} of {results['attacked']}"
                attacks = [number(one[attack]["value"]) for attack in ATTACKS]
                measured = [*attacks, number(one["average"]), with_interval(one["worst"])]
                rows.append([f"`{judge}`", name, protocol, *measured, unsafe])
    return PageTable(("judge", "set", "protocol", *ATTACKS.values(), "average", "worst", "unsafe ones"), rows)


TABLES = {"table_6": table_6, "narrowing": narrowing, "table_7": table_7}
