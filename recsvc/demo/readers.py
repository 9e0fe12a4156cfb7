"""Generated readers for the demonstration shop.

The readers and everything they do here are generated from a seed: they are not real people, and no real
person's behaviour was recorded or copied. The books of the catalogue, on the other hand, all exist.

A reader has one or two taste profiles and may follow a few authors. How likely a reader is to pick a book is
the product of how well it fits those tastes and how popular it is, so a recommender finds in these
interactions both what it should learn (tastes) and what it should not be fooled by (popularity).
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from importlib import resources
from itertools import chain
from typing import Final

import numpy as np
from numpy.typing import NDArray

GENRES: Final = frozenset(
    {
        "Adventure",
        "Biography",
        "Business",
        "Children",
        "Classics",
        "Crime",
        "Drama",
        "Fantasy",
        "Historical Fiction",
        "History",
        "Horror",
        "Humour",
        "Literary Fiction",
        "Magical Realism",
        "Philosophy",
        "Poetry",
        "Politics",
        "Popular Science",
        "Romance",
        "Science Fiction",
        "Short Stories",
        "Social Sciences",
        "Thriller",
        "Young Adult",
    }
)
"""Every genre a book of the catalogue may have."""

_YEAR: Final = timedelta(days=365)
_FEWEST, _TYPICAL, _MOST = 3, 20, 120

# Zipf's exponent is near 1 for real book sales; a little less keeps the tail of a small catalogue alive.
_POPULARITY_EXPONENT: Final = 0.8

# People stray from their tastes now and then; without this the profiles would be separable at a glance.
_CURIOSITY: Final = 0.03
_FAVOURITE_AUTHOR_BOOST: Final = 6.0

# Each purpose draws from a stream of its own, so that asking for more readers, or changing how one thing is
# drawn, leaves all the rest as it was.
_POPULARITY, _TASTES, _HISTORY = range(3)


@dataclass(frozen=True)
class Book:
    """A book of the catalogue.

    Attributes:
        item_id: Readable identifier, such as ``assis-dom-casmurro``.
        title: Title in the language of the book.
        authors: Authors, in the order of the cover.
        genres: One to three of `GENRES`, the most fitting first.
        published: Year of first publication, negative before the common era.
        language: ``en`` or ``pt``.
    """

    item_id: str
    title: str
    authors: tuple[str, ...]
    genres: tuple[str, ...]
    published: int
    language: str


@dataclass(frozen=True)
class Profile:
    """A taste shared by many readers.

    Attributes:
        name: What such readers are called.
        portuguese: From 0, they read only English, to 1, they read only Portuguese.
        genres: How much they like each genre; an absent one counts as zero.
    """

    name: str
    portuguese: float
    genres: Mapping[str, float] = field(hash=False)

    def appeal(self, book: Book) -> float:
        """Tells how much a book appeals to readers of this profile.

        Args:
            book: The book to judge.

        Returns:
            A non-negative weight; zero for a book in a language they do not read.
        """
        liking = sum(self.genres.get(genre, 0.0) for genre in book.genres) / len(book.genres)
        language = self.portuguese if book.language == "pt" else 1 - self.portuguese
        return language * (_CURIOSITY + liking**2)


PROFILES: Final = (
    Profile("school canon", 0.95, {"Classics": 1.0, "Romance": 0.7, "Poetry": 0.6, "Drama": 0.8}),
    Profile(
        "contemporary lusophone",
        1.0,
        {"Literary Fiction": 1.0, "Magical Realism": 1.0, "Short Stories": 0.7, "Historical Fiction": 0.6},
    ),
    Profile(
        "brazilian society",
        0.9,
        {"Social Sciences": 1.0, "History": 1.0, "Politics": 0.9, "Biography": 0.8, "Philosophy": 0.6},
    ),
    Profile("crime and suspense", 0.4, {"Crime": 1.0, "Thriller": 1.0, "Horror": 0.8}),
    Profile("other worlds", 0.0, {"Fantasy": 1.0, "Science Fiction": 1.0, "Adventure": 0.7, "Horror": 0.4}),
    Profile("hearts and laughter", 0.5, {"Romance": 1.0, "Young Adult": 0.9, "Humour": 0.8}),
    Profile("family shelf", 0.6, {"Children": 1.0, "Young Adult": 0.7, "Adventure": 0.5, "Fantasy": 0.4}),
    Profile(
        "curious minds",
        0.0,
        {
            "Popular Science": 1.0,
            "Business": 0.9,
            "Philosophy": 0.7,
            "Biography": 0.5,
            "Social Sciences": 0.5,
        },
    ),
)
"""The tastes that readers are made of."""


@dataclass(frozen=True)
class Reader:
    """A generated reader; not a real person.

    Attributes:
        number: Which of the readers this is, counting from one.
        profiles: One or two of `PROFILES`, the leading one first.
        favourite_authors: Authors whose books this reader seeks out; often none.
    """

    number: int
    profiles: tuple[Profile, ...]
    favourite_authors: frozenset[str] = frozenset()

    @property
    def user_id(self) -> str:
        """Identifier of the reader, such as ``reader-0001``."""
        return f"reader-{self.number:04d}"

    def appeal(self, book: Book) -> float:
        """Tells how much a book appeals to this reader.

        Args:
            book: The book to judge.

        Returns:
            A non-negative weight; zero for a book in a language this reader does not read.
        """
        leading, *others = self.profiles
        appeal = leading.appeal(book) + 0.5 * sum(other.appeal(book) for other in others)
        favourite = not self.favourite_authors.isdisjoint(book.authors)
        return appeal * (_FAVOURITE_AUTHOR_BOOST if favourite else 1.0)


def load_catalogue() -> list[Book]:
    """Reads the books that come with the package.

    Returns:
        The books, ordered by `item_id`.
    """
    text = resources.files(__package__).joinpath("catalogue.csv").read_text(encoding="utf-8")
    return [
        Book(
            item_id=row["item_id"],
            title=row["title"],
            authors=tuple(row["authors"].split("|")),
            genres=tuple(row["genres"].split("|")),
            published=int(row["published"]),
            language=row["language"],
        )
        for row in csv.DictReader(text.splitlines())
    ]


def generate_readers(books: Sequence[Book], *, readers: int = 600, seed: int = 7) -> list[Reader]:
    """Makes up readers and their tastes.

    Args:
        books: The catalogue in which they find their favourite authors.
        readers: How many readers to make up.
        seed: The same seed gives the same readers, however many are asked for.

    Returns:
        The readers, ordered by number.
    """
    return [_make_up(number, books, seed) for number in range(1, readers + 1)]


def generate_interactions(
    books: Sequence[Book], *, readers: int = 600, seed: int = 7, until: datetime
) -> Iterator[dict[str, object]]:
    """Makes up what readers did in the year before a moment.

    Each book a reader comes across is viewed; some are then put in the cart, bought and rated, others only
    liked or wished for. A later `until` moves the same history forward in time and keeps its event ids, so
    that a service which ignores repeated ids can load the demonstration twice without counting it twice.

    Args:
        books: The catalogue to choose from.
        readers: How many readers to make up.
        seed: The same seed and `until` give the same interactions.
        until: The moment before which everything happens; must carry a time zone.

    Returns:
        The interactions, reader by reader and each reader's in the order of time, with the keys `user_id`,
        `item_id`, `event`, `occurred_at` (in UTC), `event_id` and, for a rating only, `value` from 1 to 5.

    Raises:
        ValueError: If `until` has no time zone.
    """
    if until.utcoffset() is None:
        raise ValueError("until must carry a time zone")
    popularity = _popularity(len(books), seed)
    return chain.from_iterable(
        _history(reader, books, popularity, seed, until.astimezone(UTC))
        for reader in generate_readers(books, readers=readers, seed=seed)
    )


def _popularity(count: int, seed: int) -> NDArray[np.float64]:
    ranks = np.random.default_rng([seed, _POPULARITY]).permutation(count) + 1.0
    return np.asarray(ranks**-_POPULARITY_EXPONENT, dtype=np.float64)


def _make_up(number: int, books: Sequence[Book], seed: int) -> Reader:
    rng = np.random.default_rng([seed, _TASTES, number])
    chosen = rng.choice(len(PROFILES), size=rng.choice([1, 2], p=[0.65, 0.35]), replace=False)
    profiles = tuple(PROFILES[index] for index in chosen)
    reader = Reader(number, profiles)
    appeals = np.array([reader.appeal(book) for book in books])
    # A favourite author is met through a book one happened to love, hence drawn from books, not from authors.
    loved = _draw_order(appeals, rng)[: rng.integers(0, 4)]
    return replace(reader, favourite_authors=frozenset(books[index].authors[0] for index in loved))


def _history(
    reader: Reader,
    books: Sequence[Book],
    popularity: NDArray[np.float64],
    seed: int,
    until: datetime,
) -> Iterator[dict[str, object]]:
    rng = np.random.default_rng([seed, _HISTORY, reader.number])
    wanted = int(np.clip(rng.lognormal(np.log(_TYPICAL), 0.85), _FEWEST, _MOST))
    # Shops gain readers all year long, so some have only been around for a few weeks.
    joined = until - _YEAR * rng.uniform(0.1, 1.0)

    appeals = np.array([reader.appeal(book) for book in books])
    # A catalogue may hold nothing in the reader's language: the initial maximum avoids dividing by zero.
    delight = np.sqrt(appeals / appeals.max(initial=np.finfo(np.float64).tiny))
    happened: list[tuple[datetime, int, str, int | None]] = []
    for index in _draw_order(appeals * popularity, rng):
        met = joined + (until - joined) * rng.random()
        for delay, event, value in _encounter(float(delight[index]), rng):
            if met + delay < until and len(happened) < wanted:
                happened.append((met + delay, int(index), event, value))
        if len(happened) == wanted:
            break

    happened.sort(key=lambda entry: entry[0])
    for position, (moment, index, event, value) in enumerate(happened, start=1):
        yield {
            "user_id": reader.user_id,
            "item_id": books[index].item_id,
            "event": event,
            **({} if value is None else {"value": value}),
            "occurred_at": moment,
            "event_id": f"demo-{seed}-{reader.number:04d}-{position:03d}",
        }


def _encounter(delight: float, rng: np.random.Generator) -> Iterator[tuple[timedelta, str, int | None]]:
    """Plays out one reader meeting one book; `delight`, from 0 to 1, is how well the two fit."""
    yield timedelta(), "view", None
    if rng.random() > 0.2 + 0.5 * delight:
        if rng.random() < 0.1 + 0.3 * delight:
            yield _minutes(2, rng), str(rng.choice(["wishlist", "like"])), None
        return
    delay = _minutes(4, rng)
    yield delay, "cart", None
    if rng.random() > 0.75:
        return
    delay += _minutes(15, rng)
    yield delay, "purchase", None
    if rng.random() < 0.45:
        # It takes days to read a book before one can judge it.
        stars = int(np.clip(np.rint(rng.normal(2.7 + 2.3 * delight, 0.8)), 1, 5))
        yield delay + timedelta(days=3) + _minutes(14 * 24 * 60, rng), "rating", stars


def _minutes(mean: float, rng: np.random.Generator) -> timedelta:
    return timedelta(minutes=float(rng.exponential(mean)))


def _draw_order(weights: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.intp]:
    """Orders the positions of positive weight as weighted draws without replacement would (Gumbel trick)."""
    noise = rng.gumbel(size=len(weights))
    possible = np.flatnonzero(weights)
    return possible[np.argsort(-(np.log(weights[possible]) + noise[possible]))]
