// The head's product and the loss in one: what its cube and vector cores agree on.
//
// logits = x·wᵀ are taken in blocks of the vocabulary, softmax online (Milakov & Gimelshein
// 2018), as attention takes its keys: a block's weights exp(z − top so far) are multiplied
// by the same block of w into dx, and what was summed before shrinks when top grows. So w
// is read and multiplied once for the logits and once for dx, and no logit is computed
// twice. The target is left out of the weights; its share p − 1 is −(sum over the others) /
// sum, exact where p is near 1, and is added in f32 at the end.
//
// A group of cores (one cube, two vector cores) takes some rows at a time. Logits, weights
// and the sum of dx go through its workspace, which stays in L2. A row's numbers do not
// depend on which rows go with it, so the bits are those of any number of groups.
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

// Workspace of a group: two blocks of logits f32, two of weights T, the sum of dx f32.
// workspace is its bytes; Go's Context reserves blocks × workspace(cols).
constexpr uint64_t LOGIT_BYTES = ROWS * VOCAB * 4, WEIGHT_BYTES = ROWS * VOCAB * 2;
__aicore__ inline constexpr uint64_t workspace(uint64_t cols) { return 2 * LOGIT_BYTES + 2 * WEIGHT_BYTES + ROWS * cols * 4; }

// The cube's memories: L1 384 KiB, L0A 32, L0B 64, L0C 128 KiB.
constexpr uint32_t A1 = ROWS * STEP * 2, B1 = WIDE * STEP * 2, A2 = ROWS * PART * 2, B2 = WIDE * PART * 2, C = ROWS * WIDE * 4;
static_assert(2 * (A1 + B1) <= 512 * 1024 - 256 && 2 * A2 <= 64 * 1024 && 2 * B2 <= 64 * 1024 && C <= 128 * 1024, "the head fits the cube's memories");

// UB of a vector core: tiles of 8 rows of logits, pieces of 4096 columns of dx.
constexpr uint32_t TILE = 8 * VOCAB, PIECE = 4096, HALF = ROWS / 2;
constexpr uint32_t STATS = 8; // numbers of a row that are kept
constexpr uint32_t vectorBytes = 2 * TILE * 4 + 2 * TILE * 4 + PIECE * 4 + STATS * HALF * 4 + 8 * 32;
static_assert(vectorBytes <= UB_BYTES && TILE / 2 <= PIECE && PIECE <= TILE, "the head fits UB");

// rowsOf divides the rows evenly among the groups, at most ROWS at a time.
__aicore__ inline uint32_t rowsOf(uint64_t rows, uint64_t groups)
{
    uint64_t rounds = (rows + groups * ROWS - 1) / (groups * ROWS);
    return rounds == 0 ? 16 : up((rows + groups * rounds - 1) / (groups * rounds), 16);
}

using Address = GM_ADDR;
struct Problem {
    Address loss, dx, x, w, targets, weights, ws;
    uint64_t rows, cols, vocab, group;
    uint32_t step; // rows at a time
};
} // namespace head
