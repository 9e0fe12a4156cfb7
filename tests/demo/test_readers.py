"""Tests of the demonstration catalogue and of its generated readers."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta, timezone
from statistics import mean, median
from typing import Any

import pytest

from recsvc.demo.readers import (
    GENRES,
    PROFILES,
    Book,
    Reader,
    generate_interactions,
    generate_readers,
    load_catalogue,
)

UNTIL = datetime(2025, 6, 1, 12, tzinfo=UTC)

Row = dict[str, Any]


@pytest.fixture(scope="module")
def books() -> list[Book]:
    return load_catalogue()


@pytest.fixture(scope="module")
def readers(books: list[Book]) -> list[Reader]:
    return generate_readers(books)


@pytest.fixture(scope="module")
def rows(books: list[Book]) -> list[Row]:
    return list(generate_interactions(books, until=UNTIL))


@pytest.fixture(scope="module")
def histories(rows: list[Row]) -> dict[str, list[Row]]:
    by_reader: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_reader[row["user_id"]].append(row)
    return by_reader


def test_catalogue_has_at_least_four_hundred_books(books: list[Book]) -> None:
    assert len(books) >= 400


def test_no_two_books_share_an_id_or_a_title_and_author(books: list[Book]) -> None:
    assert len({book.item_id for book in books}) == len(books)
    assert len({(book.title.casefold(), book.authors) for book in books}) == len(books)


def test_item_ids_are_ascii_slugs(books: list[Book]) -> None:
    for book in books:
        words = book.item_id.split("-")
        assert all(word.isascii() and word.isalnum() and word == word.lower() for word in words), book


def test_books_are_about_half_english_and_half_portuguese(books: list[Book]) -> None:
    assert {book.language for book in books} == {"en", "pt"}
    assert 0.45 < mean(book.language == "pt" for book in books) < 0.55


def test_no_field_of_a_book_is_empty_or_padded(books: list[Book]) -> None:
    for book in books:
        texts = (book.item_id, book.title, book.language, *book.authors, *book.genres)
        assert all(text and text == text.strip() for text in texts), book


def test_every_book_has_one_to_three_distinct_genres_of_the_vocabulary(books: list[Book]) -> None:
    for book in books:
        assert 1 <= len(book.genres) <= 3, book
        assert len(set(book.genres)) == len(book.genres), book
        assert set(book.genres) <= GENRES, book


def test_every_genre_of_the_vocabulary_is_used_in_both_languages(books: list[Book]) -> None:
    for language in ("en", "pt"):
        assert {genre for book in books if book.language == language for genre in book.genres} == GENRES


def test_years_of_publication_are_plausible(books: list[Book]) -> None:
    # Portuguese literature in print begins with the sixteenth century; year zero never was.
    assert all(-800 <= book.published <= 2025 and book.published != 0 for book in books)
    assert all(book.published >= 1500 for book in books if book.language == "pt")


def test_profiles_only_weigh_genres_of_the_vocabulary() -> None:
    assert all(set(profile.genres) <= GENRES for profile in PROFILES)


def test_same_seed_and_moment_give_the_same_interactions(books: list[Book], rows: list[Row]) -> None:
    assert list(generate_interactions(books, until=UNTIL)) == rows


def test_another_seed_gives_other_interactions(books: list[Book], rows: list[Row]) -> None:
    others = list(generate_interactions(books, seed=8, until=UNTIL))
    assert [row["item_id"] for row in others] != [row["item_id"] for row in rows]
    assert {row["event_id"] for row in others}.isdisjoint(row["event_id"] for row in rows)


def test_fewer_readers_are_the_first_of_the_many(books: list[Book], rows: list[Row]) -> None:
    few = list(generate_interactions(books, readers=10, until=UNTIL))
    assert few == rows[: len(few)]
    assert len({row["user_id"] for row in few}) == 10


def test_later_moment_moves_the_same_history_and_keeps_its_event_ids(
    books: list[Book], rows: list[Row]
) -> None:
    shift = timedelta(days=40)
    moved = list(generate_interactions(books, until=UNTIL + shift))
    assert moved == [{**row, "occurred_at": row["occurred_at"] + shift} for row in rows]


def test_event_ids_are_unique_and_short(rows: list[Row]) -> None:
    assert len({row["event_id"] for row in rows}) == len(rows)
    assert all(0 < len(row["event_id"]) <= 64 for row in rows)


def test_interactions_name_only_books_of_the_catalogue(books: list[Book], rows: list[Row]) -> None:
    assert {row["item_id"] for row in rows} <= {book.item_id for book in books}


def test_everything_happens_in_the_year_before_the_given_moment(rows: list[Row]) -> None:
    assert all(UNTIL - timedelta(days=365) <= row["occurred_at"] < UNTIL for row in rows)
    assert all(row["occurred_at"].utcoffset() == timedelta() for row in rows)


def test_moment_in_another_time_zone_gives_the_same_interactions_in_utc(
    books: list[Book], rows: list[Row]
) -> None:
    in_sao_paulo = UNTIL.astimezone(timezone(timedelta(hours=-3)))
    moved: list[Row] = list(generate_interactions(books, until=in_sao_paulo))
    assert moved == rows
    assert all(row["occurred_at"].utcoffset() == timedelta() for row in moved)


def test_moment_without_time_zone_is_refused_at_once(books: list[Book]) -> None:
    with pytest.raises(ValueError, match="time zone"):
        generate_interactions(books, until=UNTIL.replace(tzinfo=None))


def test_books_nobody_can_read_leave_readers_without_history(books: list[Book]) -> None:
    assert list(generate_interactions([], until=UNTIL)) == []
    portuguese = [book for book in books if book.language == "pt"]
    only_english = {
        reader.user_id
        for reader in generate_readers(portuguese, readers=60)
        if all(profile.portuguese == 0 for profile in reader.profiles)
    }
    active = {row["user_id"] for row in generate_interactions(portuguese, readers=60, until=UNTIL)}
    assert only_english
    assert only_english.isdisjoint(active)


def test_each_reader_acts_in_the_order_of_time(histories: dict[str, list[Row]]) -> None:
    for history in histories.values():
        moments = [row["occurred_at"] for row in history]
        assert moments == sorted(moments)


def test_activity_is_long_tailed_around_twenty_interactions(histories: dict[str, list[Row]]) -> None:
    counts = [len(history) for history in histories.values()]
    assert len(counts) == 600
    assert min(counts) >= 3
    assert max(counts) <= 120
    assert 15 <= median(counts) <= 25
    assert mean(counts) > 1.2 * median(counts)


def test_few_books_draw_most_of_the_attention(rows: list[Row], books: list[Book]) -> None:
    views = dict.fromkeys((book.item_id for book in books), 0)
    for row in rows:
        views[row["item_id"]] += row["event"] == "view"
    ranked = sorted(views.values(), reverse=True)
    assert sum(ranked[: len(ranked) // 10]) > 0.3 * sum(ranked)
    assert sum(count > 0 for count in ranked) > 0.9 * len(ranked)


def test_each_book_is_viewed_before_anything_else_and_bought_only_from_the_cart(
    histories: dict[str, list[Row]],
) -> None:
    needed = {
        "cart": "view",
        "purchase": "cart",
        "rating": "purchase",
        "like": "view",
        "wishlist": "view",
    }
    for history in histories.values():
        done: set[tuple[str, str]] = set()
        for row in history:
            step = (row["item_id"], row["event"])
            assert step not in done
            if row["event"] != "view":
                assert (row["item_id"], needed[row["event"]]) in done
            done.add(step)


def test_every_kind_of_event_occurs(rows: list[Row]) -> None:
    kinds = {row["event"] for row in rows}
    assert kinds == {"view", "cart", "purchase", "rating", "like", "wishlist"}


def test_only_ratings_have_a_value_and_it_is_one_to_five(rows: list[Row]) -> None:
    for row in rows:
        assert ("value" in row) == (row["event"] == "rating")
        assert row.get("value", 1) in {1, 2, 3, 4, 5}


def test_readers_of_portuguese_profiles_mostly_interact_with_portuguese_books(
    books: list[Book], readers: list[Reader], histories: dict[str, list[Row]]
) -> None:
    language = {book.item_id: book.language for book in books}
    shares = [
        mean(language[row["item_id"]] == "pt" for row in histories[reader.user_id])
        for reader in readers
        if all(profile.portuguese >= 0.9 for profile in reader.profiles)
    ]
    assert len(shares) > 50
    assert mean(shares) > 0.85
    assert mean(share > 0.5 for share in shares) > 0.95


def test_readers_who_only_read_one_language_never_meet_the_other(
    books: list[Book], readers: list[Reader], histories: dict[str, list[Row]]
) -> None:
    language = {book.item_id: book.language for book in books}
    for wanted, portuguese in (("en", 0.0), ("pt", 1.0)):
        faithful = [
            reader
            for reader in readers
            if all(profile.portuguese == portuguese for profile in reader.profiles)
        ]
        met = {language[row["item_id"]] for reader in faithful for row in histories[reader.user_id]}
        assert met == {wanted}


def test_nearly_every_reader_prefers_the_genres_of_their_profiles(
    books: list[Book], readers: list[Reader], histories: dict[str, list[Row]]
) -> None:
    by_id = {book.item_id: book for book in books}
    lifts = []
    for reader in readers:
        genres = {genre for profile in reader.profiles for genre in profile.genres}
        met = {row["item_id"] for row in histories[reader.user_id]}
        in_taste = mean(not genres.isdisjoint(by_id[item].genres) for item in met)
        lifts.append(in_taste / mean(not genres.isdisjoint(book.genres) for book in books))
    assert mean(lifts) > 1.5
    assert mean(lift > 1 for lift in lifts) > 0.9


def test_readers_return_to_their_favourite_authors(
    books: list[Book], readers: list[Reader], histories: dict[str, list[Row]]
) -> None:
    by_id = {book.item_id: book for book in books}
    followers = [reader for reader in readers if reader.favourite_authors]
    met = [
        not reader.favourite_authors.isdisjoint(by_id[item].authors)
        for reader in followers
        for item in {row["item_id"] for row in histories[reader.user_id]}
    ]
    expected = mean(
        mean(not reader.favourite_authors.isdisjoint(book.authors) for book in books) for reader in followers
    )
    assert mean(met) > 5 * expected


def test_books_that_fit_the_taste_are_rated_higher(
    books: list[Book], readers: list[Reader], histories: dict[str, list[Row]]
) -> None:
    by_id = {book.item_id: book for book in books}
    fitting: list[int] = []
    others: list[int] = []
    for reader in readers:
        best = max(reader.appeal(book) for book in books)
        for row in histories[reader.user_id]:
            if row["event"] == "rating":
                fits = reader.appeal(by_id[row["item_id"]]) > 0.5 * best
                (fitting if fits else others).append(row["value"])
    assert mean(fitting) > mean(others) + 0.5
