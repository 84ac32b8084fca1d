// What a launch of the attention kernels moves and multiplies when all rows are queries,
// exactly: in bytes from global memory to L1 and to UB, bytes back, and FLOPs of the
// cube. Of the FLOPs, those of hidden scores are wasted: half of 64×64 for each 64 rows,
// so that both multiply 1 + 64/n times what a sequence of n rows needs.
#pragma once
#include "attention_sizes.h"

namespace attention_sizes {
struct Work {
    uint64_t l1 = 0, ub = 0, out = 0, flops = 0;
    void Add(const Work& w, uint64_t times = 1) { l1 += times * w.l1, ub += times * w.ub, out += times * w.out, flops += times * w.flops; }
};

namespace forward {
// A block of rows queries of one head, the last of which sees `keys` keys.
inline Work Block(uint64_t rows, uint64_t keys, uint64_t d)
{
    Work w;
    w.l1 = 2 * rows * d, w.out = 2 * rows * d + 4 * rows; // q; o and lse
    for (uint64_t k = 0; k < keys; k += COLS) {
        uint64_t n = keys - k < COLS ? keys - k : COLS, wide = Up(n, 16);
        uint64_t seen = rows > HALF && k >= keys - rows + HALF ? rows - HALF : rows; // rows that see the tile
        w.l1 += 4 * n * d + 2 * rows * wide;           // k, v; P
        w.ub += 4 * rows * COLS;                       // S
        w.out += 4 * seen * wide + 2 * rows * COLS;    // S; P
        w.flops += 2 * 2 * Up(seen, 16) * wide * d;    // q·kᵀ, P·v
        if (k % (STEP * COLS) == 0) w.ub += 4 * rows * d, w.out += 4 * rows * d; // P·v
    }
    return w;
}
inline Work Sequence(uint64_t n, uint64_t heads, uint64_t, uint64_t d)
{
    Work w;
    for (uint64_t q = 0; q < n; q += ROWS) {
        uint64_t rows = n - q < ROWS ? n - q : ROWS;
        w.Add(Block(rows, q + rows, d), heads);
    }
    return w;
}
inline uint64_t Useful(uint64_t n, uint64_t heads, uint64_t d) { return 2 * 2 * n * (n + 1) / 2 * heads * d; }
} // namespace forward

namespace gradient {
inline Work Sequence(uint64_t n, uint64_t heads, uint64_t kvHeads, uint64_t d)
{
    Work w;
    bool single = n <= COLS;
    for (uint64_t k = 0; k < n; k += COLS) {
        uint64_t keys = n - k < COLS ? n - k : COLS, wide = Up(keys, 16);
        w.l1 += kvHeads * 4 * keys * d, w.out += kvHeads * 4 * keys * d; // k, v; dk, dv
        for (uint64_t q = k; q < n; q += ROWS) {
            uint64_t rows = n - q < ROWS ? n - q : ROWS;
            Work b;
            b.l1 = 4 * rows * d + 4 * rows * wide;                                              // q, do; P, dS
            b.ub = 8 * rows * COLS + 8 * rows;                                                  // S, dP; lse, delta
            b.out = 8 * rows * wide + 4 * rows * COLS + (single ? 2 : 4) * rows * d;            // S, dP; P, dS; dq
            b.flops = 5 * 2 * Up(rows, 16) * wide * d;
            w.Add(b, heads);
        }
    }
    w.ub += n * heads * (4 * d + 4), w.out += n * heads * 8; // do, o, lse; lse and delta by head
    if (!single)
        for (uint64_t k = 0; k < n; k += Range(kvHeads)) w.ub += 4 * (n - k) * heads * d; // partial sums
    if (!single) w.out += 2 * n * heads * d;
    return w;
}
inline uint64_t Useful(uint64_t n, uint64_t heads, uint64_t d) { return forward::Useful(n, heads, d) / 2 * 5; }
} // namespace gradient
} // namespace attention_sizes
