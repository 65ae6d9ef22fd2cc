import pytest

from p2o_train.rendering.built_things import BUILT
from p2o_train.rendering.clutter import CAD_FOLDERS, SOLIDS
from p2o_train.rendering.likeness import LOOKS_LIKE, names, resembles, words


@pytest.mark.parametrize(
    "name", ["TableLamps", "table_lamp", "table-lamps", "Table lamp", "TABLE LAMP", "tableLamp2"]
)
def test_a_name_has_the_same_words_in_any_spelling(name: str) -> None:
    assert words(name) == ("table", "lamp")


@pytest.mark.parametrize(
    ("plural", "singular"),
    [
        ("shelves", "shelf"), ("Bookshelves", "bookshelf"), ("boxes", "box"), ("vases", "vase"),
        ("stoves", "stove"), ("couches", "couch"), ("glasses", "glass"), ("knives", "knife"),
        ("batteries", "battery"), ("bus", "bus"), ("buses", "bus"), ("cactus", "cactus"),
    ],
)  # fmt: skip
def test_plurals_are_the_same_noun(plural: str, singular: str) -> None:
    assert words(plural) == words(singular) == (singular,)


@pytest.mark.parametrize(
    ("thing", "class_name"),
    [
        ("lamp", "lamp"), ("lamp", "Lamps"), ("lamp", "floor_lamp"), ("lamp", "desklamp"),
        ("lamp", "lampshade"), ("lamp", "luminaire"), ("lamp", "reading light"),
        ("cabinet", "cabinet"), ("cabinet", "Cabinets"), ("cabinet", "bookcase"),
        ("cabinet", "book_shelves"), ("cabinet", "SideBoard"), ("cabinet", "wardrobe"),
        ("cabinet", "filing-cabinet"), ("cabinet", "night table"), ("floor box", "cabinet"),
        ("floor box", "sideboard"), ("post", "floor lamp"), ("cone", "lamp"),
        ("display", "TV"), ("monitor", "computer_monitor"), ("laptop", "notebook"),
        ("plant", "vase"), ("plant", "houseplants"), ("books", "book"), ("telephone", "iPhone"),
        ("car", "Cars"), ("car", "toy_truck"), ("floor cylinder", "stool"), ("disc", "plate"),
        ("hanging", "picture frame"), ("loudspeaker", "speakers"),
    ],
)  # fmt: skip
def test_a_thing_resembles_what_it_may_be_taken_for(thing: str, class_name: str) -> None:
    assert resembles(thing, ("bottle", class_name))


def test_things_of_the_default_database_stand_about_as_ever() -> None:
    six = ("bottle", "bowl", "chair", "mug", "sofa", "table")
    assert not [thing for thing in LOOKS_LIKE if resembles(thing, six)]


def test_short_nouns_count_as_whole_words_only() -> None:
    assert names("car", "race-car")
    assert not names("car", "carpet")
    assert not names("pot", "spotlight")


def test_a_class_without_a_word_resembles_nothing() -> None:
    assert not names("07", "07")
    assert not resembles("lamp", ("07",))


def test_every_thing_that_can_be_drawn_has_its_likenesses_listed() -> None:
    drawn = {name for makers in BUILT.values() for name, _ in makers}
    drawn |= {solid.name for solids in SOLIDS.values() for solid in solids}
    drawn |= {name for folders in CAD_FOLDERS.values() for name in folders}
    assert drawn | {"hanging"} == set(LOOKS_LIKE)
