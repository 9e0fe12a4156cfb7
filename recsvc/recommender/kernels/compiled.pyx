# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What `plain` does, compiled. Every index is checked: arrays come from files.

The interpreter's lock is kept, but in a training: to give it away for a tenth of a millisecond, and to wait for
it again beside other requests, would cost a list more than it gains.
"""

import numpy as np

from recsvc.recommender.kernels import plain

from libc.math cimport M_LN2, copysignf, fabs, isnan, log1p, sqrt
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t

cdef extern from *:
    """
    #include <float.h>
    #include <math.h>
    #include <stdint.h>
    #include <string.h>

    #if defined(__GNUC__)
    #define FETCH(address) __builtin_prefetch(address)
    #define ALWAYS_INLINE __attribute__((always_inline))  /* or it would be made for the least of all processors */
    #else
    #define FETCH(address)
    #define ALWAYS_INLINE
    #endif

    #if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && __GNUC__ >= 12
    #define FOR_EACH_PROCESSOR __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
    #else
    #define FOR_EACH_PROCESSOR
    #endif

    #define BLOCK 32
    #define WIDE 16  /* floats that the widest registers hold */
    #define BESIDE 4  /* rows that another is multiplied with at once */
    #define LANES 64  /* sums that are taken side by side: the bytes that come from memory together */
    #define SMALL 1e-12f  /* beside the square of what is wanted: floats tell no less */
    #define AHEAD 4  /* rows that are on their way while one is read: more than memory takes for one */

    /* Each row is somewhere else: the next ones are on their way while one is multiplied. */
    FOR_EACH_PROCESSOR
    static void multiply(const int8_t *numbers, const float *units, ptrdiff_t length, const ptrdiff_t *chosen,
                         ptrdiff_t count, const float *vector, float *products) {
        for (ptrdiff_t place = 0; place < count; place++) {
            const int8_t *row = numbers + chosen[place] * length;
            const int8_t *next = numbers + chosen[place + AHEAD < count ? place + AHEAD : place] * length;
            float sums[LANES] = {0}, sum = 0;
            ptrdiff_t column = 0;
            for (; column + LANES <= length; column += LANES) {
                FETCH(next + column);
                for (int lane = 0; lane < LANES; lane++)
                    sums[lane] += row[column + lane] * vector[column + lane];
            }
            for (; column < length; column++)
                sum += row[column] * vector[column];
            for (int half = LANES / 2; half; half /= 2)
                for (int lane = 0; lane < half; lane++)
                    sums[lane] += sums[lane + half];
            products[place] = units[chosen[place]] * (sums[0] + sum);
        }
    }

    FOR_EACH_PROCESSOR
    static void read_rows(const int8_t *numbers, const float *units, ptrdiff_t length, const ptrdiff_t *chosen,
                          ptrdiff_t count, float *restrict found) {
        for (ptrdiff_t place = 0; place < count; place++) {
            const int8_t *row = numbers + chosen[place] * length;
            const int8_t *next = numbers + chosen[place + AHEAD < count ? place + AHEAD : place] * length;
            float unit = units[chosen[place]];
            for (ptrdiff_t column = 0; column < length; column += LANES)
                FETCH(next + column);
            for (ptrdiff_t column = 0; column < length; column++)
                found[place * length + column] = row[column] * unit;
        }
    }

    /* Most items have nothing above the least that is of use: they are passed over in blocks. */
    FOR_EACH_PROCESSOR
    static ptrdiff_t collect(const float *numbers, ptrdiff_t begin, ptrdiff_t end, float least, ptrdiff_t *found) {
        ptrdiff_t count = 0;
        for (; begin < end; begin += BLOCK) {
            int some = 0, length = end - begin < BLOCK ? end - begin : BLOCK;
            if (length == BLOCK)
                for (int lane = 0; lane < BLOCK; lane++)
                    some |= numbers[begin + lane] > least;
            for (int lane = 0; lane < length && (some || length < BLOCK); lane++) {
                found[count] = begin + lane;
                count += numbers[begin + lane] > least;
            }
        }
        return count;
    }

    FOR_EACH_PROCESSOR
    static ptrdiff_t count_from(const float *numbers, ptrdiff_t length, float least) {
        int32_t count = 0;
        for (ptrdiff_t place = 0; place < length; place++)
            count += numbers[place] >= least;
        return count;
    }

    typedef float wide __attribute__((vector_size(4 * WIDE), aligned(4), may_alias));
    typedef float half __attribute__((vector_size(2 * WIDE)));
    typedef float quarter __attribute__((vector_size(WIDE)));

    static inline quarter fold(const wide *sums) {
        half halves[2];
        quarter quarters[2];
        memcpy(halves, sums, sizeof halves);
        halves[0] += halves[1];
        memcpy(quarters, halves, sizeof quarters);
        return quarters[0] + quarters[1];
    }

    /* What is in each of four vectors, in all. */
    static inline void add_totals(const wide *sums, float *totals) {
        quarter some[BESIDE];
        for (int other = 0; other < BESIDE; other++)
            some[other] = fold(&sums[other]);
    #if defined(__GNUC__) && __GNUC__ >= 12
        quarter first = __builtin_shufflevector(some[0], some[1], 0, 4, 1, 5)
                        + __builtin_shufflevector(some[0], some[1], 2, 6, 3, 7);
        quarter second = __builtin_shufflevector(some[2], some[3], 0, 4, 1, 5)
                         + __builtin_shufflevector(some[2], some[3], 2, 6, 3, 7);
        quarter all = __builtin_shufflevector(first, second, 0, 1, 4, 5)
                      + __builtin_shufflevector(first, second, 2, 3, 6, 7);
        for (int other = 0; other < BESIDE; other++)
            totals[other] += all[other];
    #else
        for (int other = 0; other < BESIDE; other++)
            totals[other] += some[other][0] + some[other][1] + some[other][2] + some[other][3];
    #endif
    }

    /* Multiplies a vector with some rows while it is at hand. */
    ALWAYS_INLINE static inline void multiply_some(const float *vector, const float *rows, ptrdiff_t first,
                                                   ptrdiff_t count, ptrdiff_t length, float *products) {
        const float *some[BESIDE];
        wide sums[BESIDE] = {{0}};
        ptrdiff_t column = 0;
        for (int other = 0; other < BESIDE; other++) {
            some[other] = rows + (first + other < count ? first + other : first) * length;
            products[other] = 0;
        }
        for (; column + WIDE <= length; column += WIDE)
            for (int other = 0; other < BESIDE; other++)
                sums[other] += *(const wide *)(vector + column) * *(const wide *)(some[other] + column);
        for (; column < length; column++)
            for (int other = 0; other < BESIDE; other++)
                products[other] += vector[column] * some[other][column];
        add_totals(sums, products);
    }

    /* Multiplies each vector with each row. */
    FOR_EACH_PROCESSOR
    static void multiply_each(const float *vectors, ptrdiff_t many, const float *rows, ptrdiff_t count,
                              ptrdiff_t length, float *products) {
        float some[BESIDE];
        for (ptrdiff_t first = 0; first < count; first += BESIDE)
            for (ptrdiff_t which = 0; which < many; which++) {
                multiply_some(vectors + which * length, rows, first, count, length, some);
                for (int other = 0; other < BESIDE && first + other < count; other++)
                    products[which * count + first + other] = some[other];
            }
    }

    /* rows · rowsᵀ. */
    FOR_EACH_PROCESSOR
    static void multiply_rows(const float *rows, ptrdiff_t count, ptrdiff_t length, double *products) {
        float some[BESIDE];
        for (ptrdiff_t first = 0; first < count; first += BESIDE)
            for (ptrdiff_t place = first; place < count; place++) {
                multiply_some(rows + place * length, rows, first, count, length, some);
                for (int other = 0; other < BESIDE && first + other <= place; other++)
                    products[place * count + first + other] = products[(first + other) * count + place] = some[other];
            }
    }

    /* Divides the components of rows by the roots of a diagonal: the spectrum and a ridge. */
    FOR_EACH_PROCESSOR
    static void whiten(const float *restrict rows, const float *restrict spectrum, float ridge, ptrdiff_t count,
                       ptrdiff_t length, float *restrict factors, float *restrict whitened) {
        for (ptrdiff_t column = 0; column < length; column++) {
            float base = spectrum[column] + ridge;
            factors[column] = 1 / sqrtf(base < FLT_MIN ? FLT_MIN : base);
        }
        for (ptrdiff_t row = 0; row < count; row++)
            for (ptrdiff_t column = 0; column < length; column++)
                whitened[row * length + column] = rows[row * length + column] * factors[column];
    }

    /* Adds up rows, each times its weight, for every answer of a system; then multiplies each component with its
       factor, if any. Some components of all rows at a time: they stay at hand for all answers. */
    FOR_EACH_PROCESSOR
    static void add_rows(const float *rows, ptrdiff_t count, ptrdiff_t length, const float *factors,
                         const float *weights, const ptrdiff_t *of_each, ptrdiff_t system, ptrdiff_t answers,
                         float *found) {
        for (ptrdiff_t first = 0; first < length; first += LANES) {
            ptrdiff_t lanes = length - first < LANES ? length - first : LANES;
            for (ptrdiff_t answer = 0; answer < answers; answer++) {
                float sums[LANES] = {0};
                if (of_each[answer] != system)
                    continue;
                for (ptrdiff_t row = 0; row < count; row++) {
                    const float *some = rows + row * length + first;
                    float weight = weights[answer * count + row];
                    if (lanes == LANES)
                        for (int lane = 0; lane < LANES; lane++)
                            sums[lane] += weight * some[lane];
                    else
                        for (ptrdiff_t lane = 0; lane < lanes; lane++)
                            sums[lane] += weight * some[lane];
                }
                for (ptrdiff_t lane = 0; lane < lanes; lane++)
                    found[answer * length + first + lane] = sums[lane] * (factors ? factors[first + lane] : 1);
            }
        }
    }

    /* What is added to I for each two rows: their product times the roots of both. */
    FOR_EACH_PROCESSOR
    static void count_rows(const double *restrict products, const double *restrict roots, ptrdiff_t size,
                           double *restrict matrix) {
        for (ptrdiff_t row = 0; row < size; row++) {
            for (ptrdiff_t other = 0; other <= row; other++)
                matrix[row * size + other] = products[row * size + other] * roots[row] * roots[other];
            matrix[row * size + row] += 1;
        }
    }

    /* Adds up the rows of a symmetric matrix, each times its weight. */
    FOR_EACH_PROCESSOR
    static void add_up(const double *restrict products, const double *restrict weights, ptrdiff_t size,
                       double *restrict sums) {
        for (ptrdiff_t row = 0; row < size; row++)
            for (ptrdiff_t other = 0; other < size; other++)
                sums[other] += products[row * size + other] * weights[row];
    }

    /* Cholesky's L of the lower triangle of a matrix, in its place; 0 where it is not positive definite. */
    FOR_EACH_PROCESSOR
    static int factorize(double *restrict matrix, ptrdiff_t size, double *restrict column) {
        for (ptrdiff_t pivot = 0; pivot < size; pivot++) {
            double square = matrix[pivot * size + pivot], root = sqrt(square);
            if (!(square > 0 && square < INFINITY))
                return 0;
            for (ptrdiff_t row = pivot; row < size; row++)
                column[row] = matrix[row * size + pivot] /= root;
            for (ptrdiff_t row = pivot + 1; row < size; row++) {
                double *restrict entries = matrix + row * size, factor = column[row];
                for (ptrdiff_t place = pivot + 1; place <= row; place++)
                    entries[place] -= factor * column[place];
            }
        }
        return 1;
    }

    /* Solves L Lᵀ x = right for some right sides, shape (size, sides), in their place. */
    FOR_EACH_PROCESSOR
    static void substitute(const double *restrict factor, ptrdiff_t size, double *right, ptrdiff_t sides) {
        for (ptrdiff_t row = 0; row < size; row++) {
            double *restrict of_row = right + row * sides, root = factor[row * size + row];
            for (ptrdiff_t before = 0; before < row; before++) {
                const double *restrict of_before = right + before * sides;
                double share = factor[row * size + before];
                for (ptrdiff_t side = 0; side < sides; side++)
                    of_row[side] -= share * of_before[side];
            }
            for (ptrdiff_t side = 0; side < sides; side++)
                of_row[side] /= root;
        }
        for (ptrdiff_t row = size - 1; row >= 0; row--) {
            const double *restrict shares = factor + row * size;
            double *restrict of_row = right + row * sides;
            for (ptrdiff_t side = 0; side < sides; side++)
                of_row[side] /= shares[row];
            for (ptrdiff_t before = 0; before < row; before++) {
                double *restrict of_before = right + before * sides;
                for (ptrdiff_t side = 0; side < sides; side++)
                    of_before[side] -= shares[before] * of_row[side];
            }
        }
    }

    /* Takes sums side by side: one after another they would wait for each other. */
    ALWAYS_INLINE static inline float multiply_two(const float *one, const float *other, ptrdiff_t length) {
        float sums[LANES] = {0}, sum = 0;
        ptrdiff_t column = 0;
        for (; column + LANES <= length; column += LANES)
            for (int lane = 0; lane < LANES; lane++)
                sums[lane] += one[column + lane] * other[column + lane];
        for (; column < length; column++)
            sum += one[column] * other[column];
        for (int half = LANES / 2; half; half /= 2)
            for (int lane = 0; lane < half; lane++)
                sums[lane] += sums[lane + half];
        return sums[0] + sum;
    }

    ALWAYS_INLINE static inline void add_scaled(const float *restrict row, float weight, ptrdiff_t length,
                                                float *restrict sums) {
        for (ptrdiff_t column = 0; column < length; column++)
            sums[column] += weight * row[column];
    }

    /* As many steps of conjugate gradients from nothing as are asked for, or lead anywhere. */
    FOR_EACH_PROCESSOR
    static void solve_row(const float *embeddings, ptrdiff_t length, const int32_t *items, ptrdiff_t count,
                          const float *wanted, const float *counted, ptrdiff_t steps, float *restrict residual,
                          float *restrict direction, float *restrict image, float *restrict solved) {
        float square, least;
        for (ptrdiff_t column = 0; column < length; column++)
            residual[column] = solved[column] = 0;
        for (ptrdiff_t place = 0; place < count; place++) {
            const float *next = embeddings + (ptrdiff_t)items[place + 1 < count ? place + 1 : place] * length;
            for (ptrdiff_t column = 0; column < length; column += LANES / (ptrdiff_t)sizeof *next)
                FETCH(next + column);
            add_scaled(embeddings + (ptrdiff_t)items[place] * length, wanted[place], length, residual);
        }
        memcpy(direction, residual, length * sizeof *direction);
        square = multiply_two(residual, residual, length);
        least = square * SMALL;
        for (ptrdiff_t step = 0; step < steps && square > least; step++) {
            float size, before = square;
            memcpy(image, direction, length * sizeof *image);
            for (ptrdiff_t place = 0; place < count; place++) {
                const float *row = embeddings + (ptrdiff_t)items[place] * length;
                add_scaled(row, counted[place] * multiply_two(row, direction, length), length, image);
            }
            size = square / multiply_two(direction, image, length);
            add_scaled(direction, size, length, solved);
            add_scaled(image, -size, length, residual);
            square = multiply_two(residual, residual, length);
            for (ptrdiff_t column = 0; column < length; column++)
                direction[column] = residual[column] + square / before * direction[column];
        }
    }
    """
    void FETCH(const void *address)
    void read_rows(
        const int8_t *numbers,
        const float *units,
        Py_ssize_t length,
        const Py_ssize_t *chosen,
        Py_ssize_t count,
        float *found,
    )
    void whiten(
        const float *rows,
        const float *spectrum,
        float ridge,
        Py_ssize_t count,
        Py_ssize_t length,
        float *factors,
        float *whitened,
    )
    void add_rows(
        const float *rows,
        Py_ssize_t count,
        Py_ssize_t length,
        const float *factors,
        const float *weights,
        const Py_ssize_t *of_each,
        Py_ssize_t system,
        Py_ssize_t answers,
        float *found,
    )
    void multiply_rows(const float *rows, Py_ssize_t count, Py_ssize_t length, double *products)
    void solve_row(
        const float *embeddings,
        Py_ssize_t length,
        const int32_t *items,
        Py_ssize_t count,
        const float *wanted,
        const float *counted,
        Py_ssize_t steps,
        float *residual,
        float *direction,
        float *image,
        float *solved,
    ) nogil
    void count_rows(const double *products, const double *roots, Py_ssize_t size, double *matrix)
    void add_up(const double *products, const double *weights, Py_ssize_t size, double *sums)
    bint factorize(double *matrix, Py_ssize_t size, double *column)
    void substitute(const double *factor, Py_ssize_t size, double *right, Py_ssize_t sides)
    Py_ssize_t collect(
        const float *numbers, Py_ssize_t begin, Py_ssize_t end, float least, Py_ssize_t *found
    )
    Py_ssize_t count_from(const float *numbers, Py_ssize_t length, float least) nogil
    void multiply(
        const int8_t *numbers,
        const float *units,
        Py_ssize_t length,
        const Py_ssize_t *chosen,
        Py_ssize_t count,
        const float *vector,
        float *products,
    )

    void multiply_each(
        const float *vectors,
        Py_ssize_t many,
        const float *rows,
        Py_ssize_t count,
        Py_ssize_t length,
        float *products,
    )

cdef enum:  # a system's numbers
    WANTING = 0
    COUNTING = 1
    UNOBSERVED = 2
    DISLIKED = 3
    RIDGE = 4
    SCORE = 5
    NUMBERS = 6

cdef enum:
    NUMBERS_A_LINE = 16
    AT_ONCE = 512
    ROUNDS = 3
    SAMPLED = 16  # one in so many
    SPARSE = 4  # places of a table for each that is taken
    NOWHERE = -1
    ASIDE = 16  # sums of what is of no use: one alone would be waited for
    FEW = 100  # items of a history; of more, what LAPACK takes to begin is little

cdef double ROUNDING = plain.ROUNDING

ctypedef fused whole:
    int32_t
    Py_ssize_t


ctypedef fused real:
    float
    double


def find(const int32_t[::1] known, const int32_t[::1] later, const int64_t[::1] keys):
    cdef Py_ssize_t row, place, length = 0
    room = np.empty(keys.shape[0], np.intp)
    cdef Py_ssize_t[::1] found = room
    for row in range(keys.shape[0]):
        place = _place_of(keys[row], known)
        if place < 0:
            place = _place_of(keys[row], later)
            place += known.shape[0] if place >= 0 else 0
        if place >= 0:
            found[length] = place
            length += 1
    return room[:length]


def likings(const int32_t[::1] known, keys, weights, Py_ssize_t most):
    cdef Py_ssize_t row, place, length = 0, kept = 0, count = len(keys)
    cdef dict rows = {}
    if len(weights) != count:
        raise ValueError(f"{count} keys, and {len(weights)} weights")
    most = min(most, count)
    room, liked = np.empty(most, np.intp), np.empty(most, np.float32)
    cdef Py_ssize_t[::1] found = room
    cdef float[::1] strengths = liked
    cdef double[::1] summed = np.empty(most)
    cdef float weight
    for key, added in zip(keys, weights):
        of_key = rows.get(key)
        if of_key is not None:
            summed[<Py_ssize_t>of_key] += <double>added
        elif length < most:
            rows[key] = length
            found[length], summed[length] = _place_of(key, known), added
            length += 1
    for row in range(length):
        place, weight = found[row], <float>summed[row]
        weight = copysignf(<float>(log1p(fabs(weight)) / M_LN2), weight)
        if place >= 0 and weight != 0:
            found[kept], strengths[kept] = place, weight
            kept += 1
    return room[:kept], liked[:kept]


def weighed(const float[::1] weights, const Py_ssize_t[::1] chosen, const float[::1] numbers):
    cdef Py_ssize_t row
    if numbers.shape[0] != chosen.shape[0]:
        raise ValueError(f"{chosen.shape[0]} weights are chosen for {numbers.shape[0]} numbers")
    products = np.empty(chosen.shape[0], np.float32)
    cdef float[::1] found = products
    for row in range(chosen.shape[0]):
        if not 0 <= chosen[row] < weights.shape[0]:
            raise IndexError(f"weight {chosen[row]} is none of {weights.shape[0]}")
        found[row] = weights[chosen[row]] * numbers[row]
    return products


def without_each(
    const float[::1] strengths, const float[::1] weights, const float[::1] fewer, const Py_ssize_t[::1] places
):
    cdef Py_ssize_t items = strengths.shape[0], row, place, item, liked
    if weights.shape[0] != items:
        raise ValueError(f"{items} items, and weights of {weights.shape[0]}")
    found = np.empty((places.shape[0], items), np.float32)
    cdef float[:, ::1] written = found
    for row in range(places.shape[0]):
        place, liked = places[row], 0
        if not 0 <= place < items:
            raise IndexError(f"place {place} is none of {items}")
        for item in range(items):
            if item == place:
                written[row, item] = 0
            elif strengths[item] > 0 and strengths[place] > 0 and liked < fewer.shape[0]:
                written[row, item] = fewer[liked]
                liked += 1
            else:
                written[row, item] = weights[item]
    return found


def relate(
    const int64_t[::1] bounds,
    const int32_t[::1] items,
    const float[::1] weights,
    const Py_ssize_t[::1] history,
    const float[::1] counting,
):
    cdef Py_ssize_t size = bounds.shape[0] - 1, rows = history.shape[0], row, entry, begin, ahead
    _check(bounds, items, weights, history, counting)
    sums = np.zeros(size, np.float32)
    cdef float[::1] summed = sums
    for row in range(rows):
        begin = bounds[history[row]]
        ahead = bounds[history[row + 1]] - begin if row + 1 < rows else 0
        for entry in range(begin, bounds[history[row] + 1]):
            if (entry - begin) % NUMBERS_A_LINE == 0 and entry + ahead < items.shape[0]:
                FETCH(&items[entry + ahead])
                FETCH(&weights[entry + ahead])
            if not 0 <= items[entry] < size:
                raise IndexError(f"a related item is none of {size}")
            summed[items[entry]] += weights[entry] * counting[row]
    return sums


def shares(
    const int64_t[::1] bounds,
    const int32_t[::1] items,
    const float[::1] weights,
    const Py_ssize_t[::1] history,
    const float[::1] counting,
    const Py_ssize_t[::1] wanted,
):
    cdef Py_ssize_t size = bounds.shape[0] - 1, row, entry, column, slots = 1
    _check(bounds, items, weights, history, counting)
    found = np.zeros((history.shape[0], wanted.shape[0]), np.float32)
    cdef float[:, ::1] added = found
    # A bit tells of most items that they are not wanted, and a small table where the others are: both stay at hand.
    while slots < SPARSE * wanted.shape[0]:
        slots *= 2
    cdef int32_t[::1] columns = np.full(slots, NOWHERE, np.int32)
    cdef uint8_t[::1] is_wanted = np.zeros(size // 8 + 1, np.uint8)
    for column in range(wanted.shape[0]):
        if not 0 <= wanted[column] < size:
            raise IndexError(f"item {wanted[column]} is none of {size}")
        is_wanted[wanted[column] >> 3] |= 1 << (wanted[column] & 7)
        columns[_slot_of(wanted[column], columns, wanted)] = column
    for row in range(history.shape[0]):
        for entry in range(bounds[history[row]], bounds[history[row] + 1]):
            if not 0 <= items[entry] < size:
                raise IndexError(f"a related item is none of {size}")
            if is_wanted[items[entry] >> 3] >> (items[entry] & 7) & 1:
                column = columns[_slot_of(items[entry], columns, wanted)]
                added[row, column] = weights[entry] * counting[row]
    return found


def blurred(
    const int64_t[::1] bounds,
    const int32_t[::1] items,
    const float[::1] weights,
    const int64_t[::1] through_bounds,
    const int32_t[::1] through_items,
    const float[::1] through_weights,
):
    cdef Py_ssize_t size = through_bounds.shape[0] - 1, count = bounds.shape[0] - 1, row, longest = 0
    _check_entries(bounds, items, weights, size)
    _check_bounds(through_bounds, through_items, through_weights)
    for row in range(count):
        longest = max(longest, bounds[row + 1] - bounds[row])
    found = np.zeros(bounds[count] - bounds[0], np.float32)
    cdef float[::1] sums = found, of_row = np.zeros(ASIDE + longest, np.float32)
    cdef int32_t[::1] slots = np.zeros(size, np.int32)
    cdef bint is_there = True
    with nogil:
        for row in range(count):
            is_there &= _blur_row(
                bounds[row],
                bounds[row + 1],
                bounds[0],
                items,
                weights,
                through_bounds,
                through_items,
                through_weights,
                slots,
                of_row,
                sums,
            )
    if not is_there:
        raise IndexError(f"an item that leads on is none of {size}")
    return found


cdef bint _blur_row(
    Py_ssize_t begin,
    Py_ssize_t end,
    Py_ssize_t first,
    const int32_t[::1] items,
    const float[::1] weights,
    const int64_t[::1] through_bounds,
    const int32_t[::1] through_items,
    const float[::1] through_weights,
    int32_t[::1] slots,
    float[::1] of_row,
    float[::1] sums,
) noexcept nogil:
    """Adds up what leads to the items of a row, and puts aside without a branch what leads elsewhere.

    False where something leads to an item that is not there.
    """
    cdef Py_ssize_t entry, other
    cdef int32_t slot
    cdef bint is_there = True
    for entry in range(begin, end):
        slots[items[entry]] = ASIDE + <int32_t>(entry - begin)
        of_row[ASIDE + entry - begin] = 0
    for entry in range(begin, end):
        for other in range(through_bounds[items[entry]], through_bounds[items[entry] + 1]):
            if not 0 <= through_items[other] < slots.shape[0]:
                is_there = False
                break
            slot = slots[through_items[other]]
            of_row[slot | (-<int32_t>(slot == 0) & <int32_t>(other & (ASIDE - 1)))] += (
                weights[entry] * through_weights[other]
            )
    for entry in range(begin, end):
        sums[entry - first] = of_row[ASIDE + entry - begin]
        slots[items[entry]] = 0
    return is_there


def nearest(
    const float[::1] sums,
    const Py_ssize_t[::1] others,
    Py_ssize_t most,
    recommendable,
    const Py_ssize_t[::1] excluded,
    const Py_ssize_t[::1] members,
):
    cdef const uint8_t[::1] is_open = recommendable.view(np.uint8)
    cdef Py_ssize_t size = sums.shape[0], place, length, distinct = 0, related
    cdef float least
    most = max(most, 0)
    room = np.empty(ROUNDS * most + AT_ONCE + others.shape[0], np.intp)
    cdef Py_ssize_t[::1] chosen = room
    if is_open.shape[0] < size:
        raise ValueError(f"of {size} items {is_open.shape[0]} are told whether lists may hold them")
    # Of members too few would exceed it: all would be looked through twice.
    least = _exceeded_by(sums, 2 * most) if members is None else 0
    length = _greatest_allowed(sums, least, most, is_open, excluded, members, chosen)
    if length < most and least > 0:
        length = _greatest_allowed(sums, 0, most, is_open, excluded, members, chosen)
    related = length
    for place in range(others.shape[0]):
        if not 0 <= others[place] < is_open.shape[0]:
            raise IndexError(f"item {others[place]} is none of {is_open.shape[0]}")
        if _is_allowed(others[place], is_open, excluded, members):
            chosen[length] = others[place]
            length += 1
    _sort(chosen, length)
    for place in range(length):
        if place == 0 or chosen[place] != chosen[distinct - 1]:
            chosen[distinct] = chosen[place]
            distinct += 1
    return room[:distinct], related


def best_places(const real[::1] scores, Py_ssize_t most):
    cdef Py_ssize_t begin, end, place, count, length = 0, size = scores.shape[0]
    cdef Py_ssize_t some[AT_ONCE]
    most = min(most, size)
    found = np.empty(most, np.intp)
    cdef Py_ssize_t[::1] chosen = found
    cdef real[::1] kept = np.empty(most, np.float32 if real is float else np.float64)
    for place in range(most):
        length = _offer(kept, chosen, length, most, scores[place], place)
    for begin in range(most, size if most else 0, AT_ONCE):
        end = min(begin + AT_ONCE, size)
        if real is float:
            count = collect(&scores[0], begin, end, kept[0], some)
        else:
            count = end - begin
            for place in range(count):
                some[place] = begin + place
        for place in some[:count]:
            if scores[place] > kept[0]:
                length = _offer(kept, chosen, length, most, scores[place], place)
    # The worst goes to the end, time and again.
    for place in range(length - 1, 0, -1):
        kept[0], kept[place] = kept[place], kept[0]
        chosen[0], chosen[place] = chosen[place], chosen[0]
        _sink(kept, chosen, 0, place)
    return found


def ranks(const float[:, ::1] scores, const Py_ssize_t[::1] rows, const Py_ssize_t[::1] places):
    cdef Py_ssize_t count = rows.shape[0], length = scores.shape[1], entry
    if places.shape[0] != count:
        raise IndexError(f"{places.shape[0]} places in {count} rows")
    for entry in range(count):
        if not (0 <= rows[entry] < scores.shape[0] and 0 <= places[entry] < length):
            raise IndexError(f"place {places[entry]} of row {rows[entry]} is none of {scores.shape[0]} × {length}")
    found = np.empty(count, np.intp)
    cdef Py_ssize_t[::1] counted = found
    with nogil:
        for entry in range(count):
            counted[entry] = count_from(&scores[rows[entry], 0], length, scores[rows[entry], places[entry]])
    return found


def rows(const int8_t[:, ::1] numbers, const float[::1] units, const Py_ssize_t[::1] chosen):
    cdef Py_ssize_t count = chosen.shape[0], length = numbers.shape[1]
    _check_rows(numbers, units, chosen)
    found = np.empty((count, length), np.float32)
    cdef float[:, ::1] written = found
    if count and length:
        read_rows(&numbers[0, 0], &units[0], length, &chosen[0], count, &written[0, 0])
    return found


def products(
    const int8_t[:, ::1] numbers,
    const float[::1] units,
    const Py_ssize_t[::1] chosen,
    const float[::1] vector,
):
    cdef Py_ssize_t count = chosen.shape[0], length = numbers.shape[1]
    _check_rows(numbers, units, chosen)
    if vector.shape[0] != length:
        raise ValueError(f"rows of {length} numbers, and a vector of {vector.shape[0]}")
    found = np.zeros(count, np.float32)
    cdef float[::1] written = found
    if count and length:
        multiply(&numbers[0, 0], &units[0], length, &chosen[0], count, &vector[0], &written[0])
    return found


def products_of_each(
    const int8_t[:, ::1] numbers,
    const float[::1] units,
    const Py_ssize_t[::1] chosen,
    const float[:, ::1] vectors,
):
    cdef Py_ssize_t count = chosen.shape[0], length = numbers.shape[1], many = vectors.shape[0]
    _check_rows(numbers, units, chosen)
    if vectors.shape[1] != length:
        raise ValueError(f"rows of {length} numbers, and vectors of {vectors.shape[1]}")
    found = np.zeros((many, count), np.float32)
    cdef float[:, ::1] written = found, read = np.empty((count, length), np.float32)
    if count and length and many:
        read_rows(&numbers[0, 0], &units[0], length, &chosen[0], count, &read[0, 0])
        multiply_each(&vectors[0, 0], many, &read[0, 0], count, length, &written[0, 0])
    return found


def mixed(Py_ssize_t length, const double[:, :] weights, scores):
    cdef Py_ssize_t rows = weights.shape[0], row, voice, place
    cdef double weight
    cdef const float[:, ::1] given
    cdef double[:, ::1] summed = np.zeros((rows, length))
    if weights.shape[1] != len(scores):
        raise ValueError(f"{weights.shape[1]} weights for {len(scores)} voices")
    for voice, of_voice in enumerate(scores):
        if of_voice is None:
            continue
        given = of_voice
        if given.shape[1] != length or given.shape[0] != rows and given.shape[0] != 1:
            raise ValueError(f"{given.shape[0]} × {given.shape[1]} scores, and not {rows} × {length}")
        for row in range(rows):
            weight = weights[row, voice]
            for place in range(length):
                summed[row, place] += weight * given[row if given.shape[0] > 1 else 0, place]
    sums = np.empty((rows, length), np.float32)
    cdef float[:, ::1] written = sums
    for row in range(rows):
        for place in range(length):
            written[row, place] = <float>summed[row, place]
    return sums


def cold(const int32_t[::1] likes, const Py_ssize_t[::1] items):
    cdef Py_ssize_t place, length = 0
    room = np.empty(items.shape[0], np.intp)
    cdef Py_ssize_t[::1] found = room
    for place in range(items.shape[0]):
        if items[place] < 0:
            raise IndexError(f"item {items[place]} is none")
        if items[place] >= likes.shape[0] or likes[items[place]] <= 0:
            found[length] = place
            length += 1
    return room[:length]


def greatest(const float[:, :] added, Py_ssize_t most):
    cdef Py_ssize_t rows = added.shape[0], columns = added.shape[1], column, row, place, length
    most = min(most, rows)
    found = np.empty((most, columns), np.intp)
    cdef Py_ssize_t[:, ::1] chosen = found
    for column in range(columns if most else 0):
        length = 0
        for row in range(rows):
            if length == most and not added[row, column] > added[chosen[most - 1, column], column]:
                continue
            place = length if length < most else most - 1
            while place and added[row, column] > added[chosen[place - 1, column], column]:
                chosen[place, column] = chosen[place - 1, column]
                place -= 1
            chosen[place, column] = row
            length = min(length + 1, most)
    return found


def parts_of_scores(
    const float[:, :] by_history,
    const float[:, :] by_features,
    const float[::1] scores,
    const Py_ssize_t[:, ::1] greatest,
    const Py_ssize_t[::1] places,
    const float[:, ::1] without,
):
    cdef Py_ssize_t items = by_history.shape[0], features = by_features.shape[0], named = greatest.shape[0]
    cdef Py_ssize_t row, column, place, count = scores.shape[0]
    cdef double added, of_history, of_named, size
    if (
        by_history.shape[1] != count
        or by_features.shape[1] != count
        or greatest.shape[1] != count
        or without.shape[1] != count
        or without.shape[0] != places.shape[0]
    ):
        raise ValueError(f"what adds to {count} scores does not belong together")
    cdef Py_ssize_t[::1] rows = np.full(items, NOWHERE, np.intp)
    for row in range(places.shape[0]):
        if not 0 <= places[row] < items:
            raise IndexError(f"place {places[row]} is none of {items}")
        rows[places[row]] = row
    found = np.zeros((named + 1 + features + 1, count))
    cdef double[:, ::1] parts = found
    for column in range(count):
        added = of_history = of_named = 0
        size = fabs(scores[column])
        for row in range(items):
            added += by_history[row, column]
            size += fabs(by_history[row, column])
            of_history += max(by_history[row, column], 0)
        for row in range(features):
            added += by_features[row, column]
            size += fabs(by_features[row, column])
            parts[named + 1 + row, column] = max(by_features[row, column], 0)
        for row in range(named):
            place = greatest[row, column]
            if not 0 <= place < items or rows[place] == NOWHERE:
                raise IndexError(f"place {place} is none of those without which there are scores")
            if not without[rows[place], column] >= scores[column] - ROUNDING * size:
                parts[row, column] = max(by_history[place, column], 0)
                of_named += parts[row, column]
        parts[named, column] = max(of_history - of_named, 0)
        parts[named + 1 + features, column] = max(scores[column] - added, 0)
    return found


def portions(const double[:, :] parts, Py_ssize_t whole):
    cdef Py_ssize_t count = parts.shape[0], columns = parts.shape[1], column, place, other, missing
    cdef double total, exact
    found = np.zeros((columns, count), np.intp)
    ranked = np.empty((columns, count), np.intp)
    cdef Py_ssize_t[:, ::1] given = found, order = ranked
    cdef double[::1] left = np.empty(count)
    for column in range(columns):
        total = 0
        for place in range(count):
            total += parts[place, column]
        missing = whole if total > 0 else 0
        for place in range(count):
            exact = parts[place, column] * whole / total if total > 0 else 0
            given[column, place] = <Py_ssize_t>exact
            left[place] = exact - given[column, place]
            missing -= given[column, place]
        # Largest remainders.
        for _ in range(min(missing, count)):
            other = 0
            for place in range(1, count):
                if left[place] > left[other]:
                    other = place
            given[column, other] += 1
            left[other] = -1
        for place in range(count):
            other = place
            while other and given[column, place] > given[column, order[column, other - 1]]:
                order[column, other] = order[column, other - 1]
                other -= 1
            order[column, other] = place
    return found, ranked


def fold_in(embeddings, strengths, spectrum, numbers, weights, of_each, left_out):
    items, components = embeddings.shape
    if not components:
        raise ValueError("embeddings of no components")
    if items > min(components, FEW):
        return plain.fold_in(embeddings, strengths, spectrum, numbers, weights, of_each, left_out)
    table = _table(numbers)
    return _fold_in(np.ascontiguousarray(embeddings), strengths, spectrum, table, weights, of_each, left_out)


def solve_rows(
    const float[:, ::1] embeddings,
    const int64_t[::1] bounds,
    const int32_t[::1] items,
    const float[::1] wanted,
    const float[::1] counted,
    Py_ssize_t steps,
):
    cdef Py_ssize_t count = bounds.shape[0] - 1, length = embeddings.shape[1], row, first
    _check_entries(bounds, items, wanted, embeddings.shape[0])
    _check_bounds(bounds, items, counted)
    found = np.zeros((count, length), np.float32)
    cdef float[:, ::1] solved = found, room = np.empty((3, length), np.float32)
    if not length:
        return found
    with nogil:
        for row in range(count):
            first = bounds[row]
            if first < bounds[row + 1]:
                solve_row(
                    &embeddings[0, 0],
                    length,
                    &items[first],
                    bounds[row + 1] - first,
                    &wanted[first],
                    &counted[first],
                    steps,
                    &room[0, 0],
                    &room[1, 0],
                    &room[2, 0],
                    &solved[row, 0],
                )
    return found


def _table(numbers):
    cdef Py_ssize_t system, column
    table = np.empty((len(numbers), NUMBERS))
    cdef double[:, ::1] written = table
    for system, of_system in enumerate(numbers):
        if len(of_system) != NUMBERS:
            raise ValueError(f"a system is of {NUMBERS} numbers, and not {len(of_system)}")
        for column in range(NUMBERS):
            written[system, column] = of_system[column]
    return table


def _fold_in(
    const float[:, ::1] embeddings,
    const float[:] strengths,
    const float[::1] spectrum,
    const double[:, ::1] numbers,
    const float[:, :] weights,
    const Py_ssize_t[::1] of_each,
    const Py_ssize_t[:] left_out,
):
    cdef Py_ssize_t items = embeddings.shape[0], length = embeddings.shape[1], most = of_each.shape[0]
    cdef Py_ssize_t system, row
    cdef bint is_whitened = spectrum is not None
    cdef const float *rows = NULL
    cdef float strength
    _check_systems(embeddings, strengths, spectrum, numbers, weights, of_each, left_out)
    coefficients, vectors = np.zeros((most, items), np.float32), np.zeros((most, length), np.float32)
    cdef float[:, ::1] found = coefficients, solved = vectors
    cdef double[:, ::1] products = np.empty((items, items)), triangle = np.empty((items, items))
    cdef double[:, ::1] of_item = np.empty((3, items))  # roots, how they are wanted, and a column
    cdef double[:, ::1] left = np.empty((most, items)), summed = np.empty((most, items))
    cdef double[::1] right = np.empty(2 * items * most)
    cdef float[::1] factors = np.empty(length if is_whitened else 0, np.float32)
    cdef float[::1] whitened = np.empty(items * length if is_whitened else 0, np.float32)
    for system in range(numbers.shape[0] if most else 0):
        rows = &embeddings[0, 0]
        if is_whitened:
            whiten(rows, &spectrum[0], numbers[system, RIDGE], items, length, &factors[0], &whitened[0])
            rows = &whitened[0]
        if is_whitened or not system:
            multiply_rows(rows, items, length, &products[0, 0])
        for row in range(items):
            strength = strengths[row]
            if strength > 0:
                of_item[0, row] = sqrt(max(numbers[system, COUNTING] * strength - numbers[system, UNOBSERVED], 0))
                of_item[1, row] = numbers[system, WANTING] * strength
            else:
                of_item[0, row] = sqrt(-numbers[system, DISLIKED] * strength)
                of_item[1, row] = 0
        count_rows(&products[0, 0], &of_item[0, 0], items, &triangle[0, 0])
        if not factorize(&triangle[0, 0], items, &of_item[2, 0]):
            raise ValueError(plain.NOT_FINITE)
        for row in range(most):
            if of_each[row] == system:
                _want(products, of_item, weights[row], left_out[row], left[row], summed[row])
        _solve_each(
            products, triangle, of_item, left, summed, right, system, of_each, left_out, found, numbers[system, SCORE]
        )
        add_rows(
            rows,
            items,
            length,
            &factors[0] if is_whitened else NULL,
            &found[0, 0],
            &of_each[0],
            system,
            most,
            &solved[0, 0],
        )
    return coefficients, vectors


cdef void _want(
    const double[:, ::1] products,
    const double[:, ::1] of_item,
    const float[:] weights,
    Py_ssize_t place,
    double[::1] left,
    double[::1] summed,
) noexcept:
    """How much the items of a history are wanted in a row of the answer, and what that makes each of them score."""
    cdef Py_ssize_t items = products.shape[0], item
    for item in range(items):
        left[item] = 0 if item == place else of_item[1, item] * weights[item]
        summed[item] = 0
    add_up(&products[0, 0], &left[0], items, &summed[0])


cdef int _solve_each(
    const double[:, ::1] products,
    const double[:, ::1] triangle,
    const double[:, ::1] of_item,
    const double[:, ::1] left,
    const double[:, ::1] summed,
    double[::1] right,
    Py_ssize_t system,
    const Py_ssize_t[::1] of_each,
    const Py_ssize_t[:] left_out,
    float[:, ::1] found,
    double score,
) except -1:
    """Finds the rows of the answer that solve a system: their right sides are next to each other."""
    cdef Py_ssize_t items = products.shape[0], each, row, side = 0, sides = 0, place
    cdef double ratio, scored, wanted, added
    for each in range(of_each.shape[0]):
        if of_each[each] == system:
            sides += 1 if left_out[each] < 0 else 2
    if not sides:
        return 0
    for each in range(of_each.shape[0]):
        if of_each[each] != system:
            continue
        place = left_out[each]
        for row in range(items):
            right[row * sides + side] = of_item[0, row] * summed[each, row]
            if place >= 0:
                right[row * sides + side + 1] = row == place
        side += 1 if place < 0 else 2
    substitute(&triangle[0, 0], items, &right[0], sides)
    side = 0
    for each in range(of_each.shape[0]):
        if of_each[each] != system:
            continue
        place = left_out[each]
        # The inverse of a matrix without a row and its column, by that of the whole (block inversion).
        ratio = right[place * sides + side] / right[place * sides + side + 1] if place >= 0 else 0
        scored = wanted = 0
        for row in range(items):
            added = right[row * sides + side] - (ratio * right[row * sides + side + 1] if place >= 0 else 0)
            found[each, row] = 0 if row == place else left[each, row] - of_item[0, row] * added
            # What the history scores is what each item of it would, which is what was solved for.
            scored += summed[each, row] * found[each, row]
            wanted += left[each, row]
        if not isnan(score):
            for row in range(items):
                found[each, row] *= score * wanted / scored if scored > 0 else 0
        side += 1 if place < 0 else 2
    return 0


cdef int _check_systems(
    const float[:, ::1] embeddings,
    const float[:] strengths,
    const float[::1] spectrum,
    const double[:, ::1] numbers,
    const float[:, :] weights,
    const Py_ssize_t[::1] of_each,
    const Py_ssize_t[:] left_out,
) except -1:
    """Raises where something is not there."""
    cdef Py_ssize_t items = embeddings.shape[0], length = embeddings.shape[1], systems = numbers.shape[0], row
    if (
        not items
        or strengths.shape[0] != items
        or spectrum is not None and spectrum.shape[0] != length
        or of_each.shape[0] != left_out.shape[0]
        or weights.shape[0] != of_each.shape[0]
        or weights.shape[1] != items
    ):
        raise ValueError(f"the numbers of {systems} systems of {items} items do not belong together")
    for row in range(of_each.shape[0]):
        if not 0 <= of_each[row] < systems:
            raise IndexError(f"system {of_each[row]} is none of {systems}")
        if not -1 <= left_out[row] < items:
            raise IndexError(f"place {left_out[row]} is none of {items}")
    return 0


cdef int _check(
    const int64_t[::1] bounds,
    const int32_t[::1] items,
    const float[::1] weights,
    const Py_ssize_t[::1] history,
    const float[::1] counting,
) except -1:
    """Raises where a row is not there."""
    cdef Py_ssize_t size = bounds.shape[0] - 1, row
    if weights.shape[0] != items.shape[0] or counting.shape[0] != history.shape[0]:
        raise ValueError("as many weights as items, and as many numbers as rows, belong together")
    for row in range(history.shape[0]):
        if not 0 <= history[row] < size:
            raise IndexError(f"row {history[row]} is none of {size}")
        if not 0 <= bounds[history[row]] <= bounds[history[row] + 1] <= items.shape[0]:
            raise IndexError(f"row {history[row]} is not within {items.shape[0]} entries")
    return 0


cdef int _check_bounds(
    const int64_t[::1] bounds, const int32_t[::1] items, const float[::1] numbers
) except -1:
    """Raises where a row is not there."""
    cdef Py_ssize_t row
    if numbers.shape[0] != items.shape[0]:
        raise ValueError(f"{items.shape[0]} items, and {numbers.shape[0]} numbers of them")
    if not bounds.shape[0]:
        raise ValueError("no row has bounds")
    for row in range(bounds.shape[0] - 1):
        if not 0 <= bounds[row] <= bounds[row + 1] <= items.shape[0]:
            raise IndexError(f"row {row} is not within {items.shape[0]} entries")
    return 0


cdef int _check_entries(
    const int64_t[::1] bounds, const int32_t[::1] items, const float[::1] numbers, Py_ssize_t size
) except -1:
    """Raises where a row is not there, or an item of one."""
    cdef Py_ssize_t entry
    _check_bounds(bounds, items, numbers)
    for entry in range(bounds[0], bounds[bounds.shape[0] - 1]):
        if not 0 <= items[entry] < size:
            raise IndexError(f"item {items[entry]} is none of {size}")
    return 0


cdef int _check_rows(
    const int8_t[:, ::1] numbers, const float[::1] units, const Py_ssize_t[::1] chosen
) except -1:
    """Raises where a row is not there."""
    cdef Py_ssize_t place
    if units.shape[0] != numbers.shape[0]:
        raise ValueError(f"{numbers.shape[0]} rows, and units of {units.shape[0]}")
    for place in range(chosen.shape[0]):
        if not 0 <= chosen[place] < numbers.shape[0]:
            raise IndexError(f"row {chosen[place]} is none of {numbers.shape[0]}")
    return 0


cdef float _exceeded_by(const float[::1] sums, Py_ssize_t many):
    """A number above 0 that about so many exceed, by a sample; 0 where it cannot tell."""
    cdef Py_ssize_t wanted = many // SAMPLED, begin, place, found, length = 0, size = sums.shape[0]
    cdef float[::1] kept = np.empty(wanted, np.float32)
    cdef Py_ssize_t[::1] places = np.empty(wanted, np.intp), some = np.empty(AT_ONCE, np.intp)
    cdef float least = 0
    for begin in range(0, size if wanted else 0, AT_ONCE):
        found = collect(&sums[0], begin, min(begin + AT_ONCE // SAMPLED, size), least, &some[0])
        for place in range(found):
            if length < wanted or sums[some[place]] > least:
                length = _offer(kept, places, length, wanted, sums[some[place]], some[place])
                least = kept[0] if length == wanted else 0
    return least


cdef Py_ssize_t _greatest_allowed(
    const float[::1] sums,
    float least,
    Py_ssize_t most,
    const uint8_t[::1] is_open,
    const Py_ssize_t[::1] excluded,
    const Py_ssize_t[::1] members,
    Py_ssize_t[::1] chosen,
) noexcept:
    """Finds so many with the greatest sums above the least that is of use; returns how many there are."""
    cdef Py_ssize_t size = sums.shape[0], begin, place, item, found, length = 0
    cdef Py_ssize_t left_out = 0, member = 0  # how far those have come that ascend with the items
    for begin in range(0, size if most else 0, AT_ONCE):
        found = collect(&sums[0], begin, min(begin + AT_ONCE, size), least, &chosen[length])
        for place in range(length, length + found):
            item = chosen[place]
            left_out = _up_to(item, excluded, left_out)
            if not is_open[item] or _stands_at(left_out, excluded, item):
                continue
            if members is not None:
                member = _up_to(item, members, member)
                if not _stands_at(member, members, item):
                    continue
            chosen[length] = item
            length += 1
        if length > ROUNDS * most:
            least = _keep_best(sums, chosen, length, most)
            length = most
    if length > most:
        _keep_best(sums, chosen, length, most)
        length = most
    return length


cdef bint _is_allowed(
    Py_ssize_t item,
    const uint8_t[::1] is_open,
    const Py_ssize_t[::1] excluded,
    const Py_ssize_t[::1] members,
) noexcept:
    return is_open[item] and not _is_in(item, excluded) and (members is None or _is_in(item, members))


cdef float _keep_best(
    const float[::1] scores, Py_ssize_t[::1] items, Py_ssize_t length, Py_ssize_t most
) noexcept:
    """Moves so many of the best items to the front (Hoare 1961: FIND); returns the score of the worst of them."""
    cdef Py_ssize_t low = 0, high = length - 1, left, right, pivot
    cdef float worst
    while low < high:
        pivot, left, right = items[(low + high) // 2], low, high
        while left <= right:
            while _is_worse(scores[pivot], pivot, scores[items[left]], items[left]):
                left += 1
            while _is_worse(scores[items[right]], items[right], scores[pivot], pivot):
                right -= 1
            if left <= right:
                items[left], items[right] = items[right], items[left]
                left += 1
                right -= 1
        if most - 1 <= right:
            high = right
        elif most - 1 >= left:
            low = left
        else:
            break
    worst = scores[items[0]]
    for left in range(1, most):
        worst = min(worst, scores[items[left]])
    return worst


cdef inline Py_ssize_t _slot_of(
    Py_ssize_t item, const int32_t[::1] columns, const Py_ssize_t[::1] wanted
) noexcept:
    """Where in a table the column of an item is, or would be: at its own number, or as soon after as may be."""
    cdef Py_ssize_t slot = item & (columns.shape[0] - 1)
    while columns[slot] != NOWHERE and wanted[columns[slot]] != item:
        slot = (slot + 1) & (columns.shape[0] - 1)
    return slot


cdef Py_ssize_t _place_of(int64_t key, const int32_t[::1] ascending) noexcept:
    """Where a key is, -1 if nowhere. Keys are dense: it is looked for where it would be if none were missing."""
    cdef Py_ssize_t low, high = ascending.shape[0] - 1, step = 1
    if high < 0 or key < ascending[0] or key > ascending[high]:
        return -1
    high = min(high, key - ascending[0])
    low = high
    while ascending[low] > key:  # which the first is not
        high = low
        low = max(low - step, 0)
        step *= 2
    low = _first_from(key, ascending, low, high)
    return low if ascending[low] == key else -1


cdef bint _is_in(Py_ssize_t item, const Py_ssize_t[::1] ascending) noexcept:
    return _stands_at(_first_from(item, ascending, 0, ascending.shape[0]), ascending, item)


cdef inline Py_ssize_t _first_from(
    int64_t number, const whole[::1] ascending, Py_ssize_t low, Py_ssize_t high
) noexcept:
    """The first place, from low to high, whose number is not below another; high where there is none."""
    cdef Py_ssize_t middle
    while low < high:
        middle = (low + high) // 2
        if ascending[middle] < number:
            low = middle + 1
        else:
            high = middle
    return low


cdef inline bint _stands_at(Py_ssize_t place, const Py_ssize_t[::1] ascending, Py_ssize_t item) noexcept:
    return place < ascending.shape[0] and ascending[place] == item


cdef inline Py_ssize_t _up_to(Py_ssize_t item, const Py_ssize_t[::1] ascending, Py_ssize_t place) noexcept:
    while place < ascending.shape[0] and ascending[place] < item:
        place += 1
    return place


cdef inline bint _is_worse(real score, Py_ssize_t item, real other, Py_ssize_t than) noexcept:
    return score < other or (score == other and item > than)


cdef inline Py_ssize_t _offer(
    real[::1] scores, Py_ssize_t[::1] items, Py_ssize_t length, Py_ssize_t most, real score, Py_ssize_t item
) noexcept:
    """Takes an entry that is better than the worst into a heap of so many; returns its new length."""
    cdef Py_ssize_t place
    if length == most:
        scores[0], items[0] = score, item
        _sink(scores, items, 0, length)
        return length
    scores[length], items[length] = score, item
    if length + 1 == most:
        for place in range(most // 2 - 1, -1, -1):
            _sink(scores, items, place, most)
    return length + 1


cdef void _sink(real[::1] scores, Py_ssize_t[::1] items, Py_ssize_t place, Py_ssize_t length) noexcept:
    """Restores a heap, the worst on top, in which only the entry at one place may be too high."""
    cdef Py_ssize_t below, item = items[place]
    cdef real score = scores[place]
    while 2 * place + 1 < length:
        below = 2 * place + 1
        if below + 1 < length and _is_worse(scores[below + 1], items[below + 1], scores[below], items[below]):
            below += 1
        if not _is_worse(scores[below], items[below], score, item):
            break
        scores[place], items[place] = scores[below], items[below]
        place = below
    scores[place], items[place] = score, item


cdef void _sort(Py_ssize_t[::1] items, Py_ssize_t length) noexcept:
    """Shell's sort: they are few."""
    cdef Py_ssize_t gap = 1, place, back, item
    while gap < length // 3:
        gap = 3 * gap + 1
    while gap:
        for place in range(gap, length):
            item, back = items[place], place
            while back >= gap and items[back - gap] > item:
                items[back] = items[back - gap]
                back -= gap
            items[back] = item
        gap //= 3
