"""The people who use the made-up company's features: a few of them much, most of them seldom."""

import numpy as np
from msgspec import Struct

from runtime.history.arrow import Floats, Ints

FIRST = (
    *("ada", "amir", "ana", "ben", "chen", "clara", "dara", "elif", "emil", "fatima", "felix", "grace", "hana", "igor", "ines", "jonas"),
    *("kofi", "lena", "leo", "lucia", "malik", "mara", "mei", "milo", "nadia", "nils", "noor", "olga", "omar", "paula", "pia", "ravi"),
    *("rosa", "sami", "sofia", "tariq", "tess", "uma", "viktor", "wen", "yara", "yuki", "zoe"),
)
LAST = (
    *("abe", "alvarez", "bauer", "becker", "costa", "diaz", "dubois", "eriksen", "farah", "fischer", "garcia", "haas", "ito", "jansen"),
    *("kaya", "khan", "kim", "kovac", "larsen", "lopez", "meyer", "moreau", "mueller", "nagy", "novak", "okafor", "olsen", "park"),
    *("patel", "petrov", "popa", "quinn", "ricci", "rossi", "sato", "silva", "smith", "tran", "vega", "weber", "wolf", "yilmaz", "zhang"),
)
COMPANIES = (
    *("Acme Tools", "Aurora Bank", "Bluebird Travel", "Cedar Health", "Delta Grocers", "Everest Law", "Fjord Shipping", "Globex"),
    *("Harbor Insurance", "Initech", "Juniper Media", "Kestrel Energy", "Lumen Schools", "Maple Homes", "Northwind", "Orchid Pharma"),
    *(
        "Pioneer Parts",
        "Quartz Studios",
        "Riverside Clinic",
        "Sunrise Foods",
        "Tundra Outdoor",
        "Umbra Games",
        "Vertex Logistics",
        "Willow Care",
    ),
)
PLANS = ("free", "starter", "pro", "enterprise")
REGIONS = ("eu-central", "us-east", "us-west", "ap-south")
ANONYMOUS = 0.02
CALLS_A_USER = 500
FEWEST, MOST = 25, 20_000
ZIPF, FLAT = 1.0, 6
"""How much more the busiest do than the rest, and how alike the very first are."""


class People(Struct):
    """By the user's number. The busiest come first."""

    names: list[str | None]
    reach: Floats
    """Up to which share of all calls a user and those before it make."""
    company: Ints
    plan: Ints
    region: Ints


def people(calls: int, rng: np.random.Generator) -> People:
    """As many as make so many calls."""
    count = int(np.clip(calls // CALLS_A_USER, FEWEST, MOST))
    pairs = rng.permutation(len(FIRST) * len(LAST))
    names: list[str | None] = []
    for at in range(count):
        again, pair = divmod(at, len(pairs))
        first, last = divmod(int(pairs[pair]), len(LAST))
        names.append(f"{FIRST[first]}.{LAST[last]}{again + 1 if again else ''}")
    weights = 1.0 / (np.arange(count) + FLAT) ** ZIPF
    company = rng.choice(len(COMPANIES), count)
    plan_of_company = rng.choice(len(PLANS), len(COMPANIES), p=(0.1, 0.3, 0.4, 0.2))
    region_of_company = rng.choice(len(REGIONS), len(COMPANIES), p=(0.4, 0.3, 0.2, 0.1))
    return People(names, np.cumsum(weights) / weights.sum(), company, plan_of_company[company], region_of_company[company])


def drawn(found: People, groups: int, rng: np.random.Generator) -> Ints:
    """A user for each group of calls; below 0 for nobody that is known."""
    user = np.minimum(np.searchsorted(found.reach, rng.random(groups)), len(found.names) - 1)
    return np.where(rng.random(groups) < ANONYMOUS, -1, user).astype(np.int64)
