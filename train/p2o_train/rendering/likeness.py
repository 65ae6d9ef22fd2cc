"""What the unlabelled things of a scene are, and look like: none may be taken for a class."""

import re
from collections.abc import Iterable

_STORAGE = (
    "cabinet cupboard sideboard bookcase shelf shelving rack wardrobe dresser drawer locker "
    "nightstand night-table bedside chest credenza commode closet armoire hutch buffet vanity "
    "bureau console tv-stand island counter furniture storage container crate box bin safe case "
    "refrigerator fridge freezer washer washing-machine dishwasher dryer oven stove cooker "
    "appliance vitrine shoebox pantry larder"
)
_LAMP = (
    "lamp light luminaire lantern chandelier sconce torch torchiere uplight pendant candle "
    "candlestick candelabra candelabrum"
)
_SCREEN = (
    "display monitor screen television tv panel picture painting frame poster photo mirror "
    "whiteboard blackboard board tablet laptop computer pc window"
)
_PAPER = (
    "book magazine notebook newspaper paper document folder binder dictionary album envelope "
    "letter mat placemat sheet tablet laptop"
)
_CARTON = (
    "box carton crate container package parcel packet case tin canister speaker radio toaster "
    "clock cube block brick printer microwave camera projector computer pc safe"
)
_DISC = "plate disc disk dish saucer coaster lid tray frisbee coin puck cd record pan platter"

LOOKS_LIKE = {
    "lamp": _LAMP,
    "cabinet": _STORAGE,
    "display": _SCREEN,
    "loudspeaker": (
        "speaker subwoofer woofer stereo hifi audio radio amplifier soundbar box cabinet safe"
    ),
    "telephone": "phone handset fax intercom mobile cellular calculator remote",
    "car": (
        "car automobile auto vehicle truck lorry van bus taxi cab toy jeep sedan convertible "
        "limousine pickup wagon suv"
    ),
    "plant": (
        "plant flower tree bush shrub bonsai cactus succulent bouquet pot flowerpot planter vase "
        "urn fern palm vegetation"
    ),
    "books": f"{_PAPER} box",
    "laptop": f"{_PAPER} {_SCREEN} netbook keyboard",
    "monitor": _SCREEN,
    "floor box": (
        f"{_STORAGE} ottoman pouf footstool bench suitcase luggage baggage trunk hamper basket "
        "speaker subwoofer radiator heater fireplace computer pc tower printer piano pedestal"
    ),
    "floor cylinder": (
        "cylinder stool footstool pouf ottoman bin trash-can garbage-can wastebasket bucket pail "
        "pot planter flowerpot drum barrel keg basket hamper vase urn can pedestal ashcan"
    ),
    "post": (
        f"{_LAMP} post pole column pillar coat-rack coat-stand hat-stand hanger stand tripod "
        "scratcher umbrella ladder broom mop"
    ),
    "floor ball": "ball balloon globe sphere pouf",
    "box": _CARTON,
    "desk box": f"{_CARTON} {_PAPER} keyboard display monitor scanner",
    "flat box": f"{_PAPER} {_CARTON} tray router console player keyboard",
    "ball": (
        "ball fruit apple orange lemon lime peach plum pear tomato egg onion potato ornament "
        "bauble marble sphere"
    ),
    "stick": (
        "pen pencil ruler remote knife fork spoon cutlery silverware utensil stick marker brush "
        "crayon toothbrush screwdriver phone"
    ),
    "disc": _DISC,
    "cone": f"cone hat funnel tree {_LAMP}",
    "sheet": _PAPER,
    "keyboard": "keyboard piano",
    "hanging": f"{_SCREEN} art map calendar clock door curtain radiator light lamp",
}
"""Of each thing that is drawn without a label: nouns of classes that it belongs to or resembles."""

_IRREGULAR = {"knives": "knife", "buses": "bus"}

_SHORTEST_PART = 4
"""Nouns of fewer letters count as whole words only: "car" is no part of "carpet"."""


def words(name: str) -> tuple[str, ...]:
    """Split a name into its words, lower case and singular.

    "TableLamps", "table_lamp", "table-lamp" and "Table lamp" give the same.
    """
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return tuple(_singular(word) for word in re.findall(r"[^\W\d_]+", apart.lower()))


def names(noun: str, name: str) -> bool:
    """Tell whether a name says that something is what a noun says: "desk_lamps" is a lamp."""
    parts, whole = words(noun), words(name)
    if not parts:
        return False
    together = "".join(parts)
    within = len(together) >= _SHORTEST_PART and together in "".join(whole)
    return within or set(parts) <= set(whole)


def resembles(thing: str, classes: Iterable[str]) -> bool:
    """Tell whether a thing belongs to one of some classes, or may be taken for one.

    Args:
        thing: A key of `LOOKS_LIKE`.
        classes: Names of classes.
    """
    nouns = (thing, *(noun.replace("-", " ") for noun in LOOKS_LIKE[thing].split()))
    return any(names(noun, name) for name in classes for noun in nouns)


def _singular(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith("shelves"):
        return word[:-3] + "f"
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if re.search(r"(ss|x|z|ch|sh)es$", word):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word
