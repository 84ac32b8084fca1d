// The head's product and the loss in one: what its cube and vector cores agree on.
//
// logits = x·wᵀ are taken in blocks of the vocabulary, softmax online (Milakov & Gimelshein
// 2018), as attention takes its keys: a block's weights exp(z − top so far) are multiplied
// by the same block of w into dx, and what was summed before shrinks when top grows. So w
// is read and multiplied once for the logits and once for dx, and no logit is computed
// twice. The target is left out of the weights; its share p − 1 is −(sum over the others) /
// sum, exact where p is near 1, and is added in f32 at the end.
//
// A group of cores (one cube, two vector cores) takes some rows and a range of the
// vocabulary at a time. Logits and weights go through its workspace, which stays in L2.
// Few rows would leave groups idle, so their vocabulary is split into ranges, by the
// numbers of rows and blocks alone; at the end all vector cores merge the ranges, add the
// target's share and store. A row's numbers do not depend on how rows and ranges are
// divided over groups, so the bits are those of any number of groups.
#pragma once
#include "vector.h"

namespace head {
using namespace vec;

constexpr uint32_t ROWS = 128;   // of a group at a time, at most
constexpr uint32_t VOCAB = 1024; // columns of a block of logits
constexpr uint32_t WIDE = 256, STEP = 256, PART = 64; // columns of a tile in L0C, k in L1, k in L0
constexpr uint16_t LOGITS = 0, WEIGHTS = 1, SUMMED = 2; // flags: cube → vector, vector → cube, cube → vector
constexpr float NONE = -1e30f;

// Weights are at most 1. Those of f16 are scaled by 2¹⁰, undone in f32, so that small ones
// keep their bits; bf16 has f32's exponents.
template <typename T> struct Scale { static constexpr float by = 1.0f; };
template <> struct Scale<half> { static constexpr float by = 1024.0f; };

// rangesOf is how many ranges the vocabulary is split into: about TASKS blocks of rows
// and ranges in all, more than there are groups, so that these are evenly busy.
constexpr uint64_t TASKS = 48;
__aicore__ inline constexpr uint64_t parts(uint64_t n, uint64_t of) { return (n + of - 1) / of; }
__aicore__ inline constexpr uint64_t rangesOf(uint64_t rows, uint64_t vocab)
{
    uint64_t most = TASKS / parts(rows, ROWS), blocks = parts(vocab, VOCAB);
    return most <= 1 ? 1 : most < blocks ? most : blocks;
}

// Workspace: for each group two blocks of logits f32 and two of weights T; then for each
// range and row three f32, and a row of the sum of dx f32 if it is wanted.
constexpr uint64_t LOGIT_BYTES = ROWS * VOCAB * 4, WEIGHT_BYTES = ROWS * VOCAB * 2, GROUP_BYTES = 2 * LOGIT_BYTES + 2 * WEIGHT_BYTES;
constexpr uint32_t KINDS = 3; // top, sum over all but the target, logit of the target

// The cube's memories: L1 384 KiB, L0A 32, L0B 64, L0C 128 KiB.
constexpr uint32_t A1 = ROWS * STEP * 2, B1 = WIDE * STEP * 2, A2 = ROWS * PART * 2, B2 = WIDE * PART * 2, C = ROWS * WIDE * 4;
static_assert(2 * (A1 + B1) <= 512 * 1024 - 256 && 2 * A2 <= 64 * 1024 && 2 * B2 <= 64 * 1024 && C <= 128 * 1024, "the head fits the cube's memories");

// UB of a vector core: tiles of 8 rows of logits; and at the end pieces of dx.
constexpr uint32_t TILE = 8 * VOCAB, HALF = ROWS / 2;
constexpr uint32_t softenBytes = 2 * TILE * 4 + 2 * TILE * 4 + TILE / 2 * 4 + 5 * HALF * 4 + 8 * 32;
constexpr uint32_t WIDE_PIECE = 4096, PIECE = 1024; // columns, where rows are many and few
constexpr uint32_t OCTET = 8;                       // rows that are merged at a time: a block of 32 bytes
constexpr uint32_t RANGE = TASKS * OCTET;           // numbers of 8 rows of all ranges
constexpr uint32_t mergeBytes = 2 * WIDE_PIECE * 4 + 2 * WIDE_PIECE * 2 + 2 * WIDE_PIECE * 2 + 2 * WIDE_PIECE * 4 + 2 * KINDS * RANGE * 4 + 2 * RANGE * 4 + 8 * 32 + 2 * 32;
static_assert(softenBytes <= UB_BYTES && mergeBytes <= UB_BYTES, "the head fits UB");

using Address = GM_ADDR;
struct Problem {
    Address loss, dx, x, w, targets, weights, ws;
    uint64_t rows, cols, vocab, groups, group;
    uint64_t ranges, step; // of the vocabulary; rows at a time

    // Plan divides the problem: the rows evenly among the groups, or among blocks of ROWS where there are ranges.
    __aicore__ inline void Plan()
    {
        ranges = rangesOf(rows, vocab);
        uint64_t rounds = ranges > 1 ? parts(rows, ROWS) : groups * parts(rows, groups * ROWS);
        step = up(parts(rows, rounds), 16);
    }
    // First is the first block of the vocabulary of a range.
    __aicore__ inline uint32_t First(uint64_t range) const { return range * parts(vocab, VOCAB) / ranges; }
    __aicore__ inline uint32_t Columns(uint32_t block) const { return least(VOCAB, vocab - uint64_t(block) * VOCAB); }

    __aicore__ inline Address Logits() const { return ws + group * GROUP_BYTES; }
    __aicore__ inline Address Weights() const { return Logits() + 2 * LOGIT_BYTES; }
    __aicore__ inline Address Stats() const { return ws + groups * GROUP_BYTES; }
    __aicore__ inline Address Sums() const { return Stats() + up(KINDS * ranges * rows * 4, 512); }
};
} // namespace head
