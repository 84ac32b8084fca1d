// Sizes of the attention kernels: tiles, memory of a core by head size, workspace.
// Nothing of Ascend C is needed here, so that a test can compute with the same
// functions.
#pragma once
#include <cstdint>
#ifndef __aicore__
#define __aicore__
#endif

namespace attention_sizes {
constexpr uint32_t ROWS = 128;        // queries of a block
constexpr uint32_t HALF = ROWS / 2;   // of them for each vector core
constexpr uint32_t COLS = 64;         // keys of a tile: one repeat of a vector instruction
constexpr uint32_t TILE = ROWS * COLS;
constexpr uint32_t MAX_HEAD = 128;

// Memory of a core, arch 2201. The top of UB is left to the API's own temporaries.
constexpr uint32_t UB = 184 * 1024, L1 = 512 * 1024 - 256, L0A = 64 * 1024, L0B = 64 * 1024, L0C = 128 * 1024;

__aicore__ constexpr uint32_t Least(uint32_t a, uint32_t b) { return a < b ? a : b; }
__aicore__ constexpr uint32_t Most(uint32_t a, uint32_t b) { return a > b ? a : b; }
__aicore__ constexpr uint32_t Up(uint32_t n, uint32_t to) { return (n + to - 1) / to * to; }

struct Memory {
    uint32_t ub, l1, l0a, l0b, l0c;
    __aicore__ constexpr bool Fits() const { return ub <= UB && l1 <= L1 && l0a <= L0A && l0b <= L0B && l0c <= L0C; }
};

// ---- forward: a step is up to 8 tiles of keys against a block of queries ----
namespace forward {
constexpr uint32_t STEP = 8, CHUNK = 16; // tiles; rows that a vector core takes at once

// Buffers, in bytes, by head size.
__aicore__ constexpr uint32_t Queries(uint32_t d) { return ROWS * d * 2; }
__aicore__ constexpr uint32_t Keys(uint32_t d) { return COLS * d * 2; }
constexpr uint32_t Weights = TILE * 2, Scores = TILE * 4;
__aicore__ constexpr uint32_t Left(uint32_t d) { return Most(Queries(d), Weights); }
__aicore__ constexpr uint32_t Product(uint32_t d) { return ROWS * d * 4; }
__aicore__ constexpr uint32_t In(uint32_t d) { return Most(CHUNK * STEP * COLS * 4, HALF * d * 4); }
__aicore__ constexpr uint32_t Out(uint32_t d) { return Most(CHUNK * STEP * COLS * 2, HALF * d * 2); }
__aicore__ constexpr uint32_t Sum(uint32_t d) { return HALF * d * 4; }
constexpr uint32_t Wide = HALF * 32, Tree = CHUNK * (STEP / 2) * COLS * 4, Rows = 7 * HALF * 4 + Wide;

__aicore__ constexpr Memory Of(uint32_t d)
{
    return {2 * In(d) + 2 * Out(d) + Wide + Sum(d) + Tree + Rows, 2 * Queries(d) + 3 * Keys(d) + 2 * Weights,
            2 * Left(d), 2 * Keys(d), 2 * Scores + Product(d)};
}

// Workspace of a group: scores f32, weights T and their product with v f32, two of each.
constexpr uint64_t WORKSPACE = 2 * (STEP * TILE * 4 + STEP * TILE * 2 + ROWS * MAX_HEAD * 4);
} // namespace forward

// ---- gradient: a step is up to 2 blocks of queries against a block of keys ----
namespace gradient {
constexpr uint32_t STEP = 2;

// Buffers, in bytes, by head size.
__aicore__ constexpr uint32_t Keys(uint32_t d) { return 2 * COLS * d * 2; }           // k and v
__aicore__ constexpr uint32_t Queries(uint32_t d) { return STEP * 2 * ROWS * d * 2; } // q and do
constexpr uint32_t Weights = 2 * TILE * 2, Scores = TILE * 4;                         // P and dS; S or dP
__aicore__ constexpr uint32_t Left(uint32_t d) { return Most(ROWS * d * 2, TILE * 2); }
__aicore__ constexpr uint32_t Right(uint32_t d) { return ROWS * d * 2; }
__aicore__ constexpr uint32_t Sums(uint32_t d) { return 2 * COLS * d * 4; }           // dv and dk
__aicore__ constexpr uint32_t In(uint32_t d) { return HALF * Most(COLS * 4, d * 2); }
__aicore__ constexpr uint32_t Scratch(uint32_t d) { return 2 * HALF * d * 4; }
constexpr uint32_t Out = HALF * COLS * 2, Rows = HALF * 32, Wide = 2 * HALF * 32;

__aicore__ constexpr Memory Of(uint32_t d)
{
    return {4 * In(d) + 4 * Out + 2 * Rows + Wide + Scratch(d), 2 * Keys(d) + 2 * Queries(d) + 2 * Weights,
            2 * Left(d), 2 * Right(d), 2 * Scores + Sums(d)};
}

// dq is summed over the keys of a range, in order, by the group that owns it, and over
// the ranges of a sequence at the end. More ranges are more work at once, and more
// workspace; they follow from the shape alone.
__aicore__ constexpr uint32_t Range(uint32_t kvHeads) { return kvHeads < 16 ? 512 : 1024; }

// Workspace of a group: S and dP f32, P and dS T, two steps of each.
constexpr uint64_t WORKSPACE = 2 * STEP * TILE * (4 + 4 + 2 + 2);

// PartialRows bounds the rows of partial sums of dq: a query has one for each range
// that it sees.
__aicore__ constexpr uint64_t PartialRows(uint64_t keys, uint64_t queries, uint32_t kvHeads)
{
    uint64_t n = 0;
    for (uint64_t k = 0; k < keys; k += Range(kvHeads)) n += keys - k < queries ? keys - k : queries;
    return n;
}

// Workspace of a launch: behind those of the groups lse and rowsum(do∘o), f32[heads,
// queries] each, and the partial sums of dq.
__aicore__ constexpr uint64_t Workspace(uint64_t groups, uint64_t keys, uint64_t queries, uint32_t heads, uint32_t kvHeads, uint32_t d)
{
    return groups * WORKSPACE + 8 * queries * heads + 4 * PartialRows(keys, queries, kvHeads) * heads * d;
}
} // namespace gradient

__aicore__ constexpr bool Fit()
{
    for (uint32_t d = 16; d <= MAX_HEAD; d += 16)
        if (!forward::Of(d).Fits() || !gradient::Of(d).Fits()) return false;
    return true;
}
static_assert(Fit(), "a head size for which attention does not fit into a core");
} // namespace attention_sizes
