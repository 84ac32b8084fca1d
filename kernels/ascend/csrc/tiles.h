// The shapes of the cube's tiles and what they move, as plain arithmetic: kernels take
// their buffers from here, and tests check budgets and counters against the same numbers.
//
// A tile of C[m,n] stays in L0C while its operands pass through L1 in steps of k and
// through L0 in products of l. Everything but L0C has two buffers: the next step is
// fetched while this one is multiplied.
#pragma once
#include <cstdint>
#ifndef __aicore__ // a test on the host
#define __aicore__
#endif

namespace lorac {
// Bytes of the memories of a cube core, arch 2201.
constexpr uint32_t L1_BYTES = 512 * 1024 - 256, L0A_BYTES = 64 * 1024, L0B_BYTES = 64 * 1024, L0C_BYTES = 128 * 1024;

__aicore__ constexpr uint32_t up16(uint32_t n) { return (n + 15) / 16 * 16; }
__aicore__ constexpr uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }
__aicore__ constexpr uint32_t parts(uint32_t n, uint32_t size) { return (n + size - 1) / size; }

struct Shape {
    uint32_t m, n; // of a tile
    uint32_t k, l; // of a step in L1, of a product in L0
    uint32_t c;    // tiles in L0C: with two, one is stored while the next is summed

    __aicore__ constexpr uint32_t a1() const { return m * k * 2; } // bytes of one buffer
    __aicore__ constexpr uint32_t b1() const { return n * k * 2; }
    __aicore__ constexpr uint32_t a2() const { return m * l * 2; }
    __aicore__ constexpr uint32_t b2() const { return n * l * 2; }
    __aicore__ constexpr uint32_t c0() const { return m * n * 4; }
    __aicore__ constexpr bool fits() const
    {
        return 2 * (a1() + b1()) <= L1_BYTES && 2 * a2() <= L0A_BYTES && 2 * b2() <= L0B_BYTES && c * c0() <= L0C_BYTES;
    }
};

// shapeOf gives a tile of m x n, multiples of 16, the largest steps that fit.
// 128 x 256: k 256, l 64; L1 384 KiB, L0A 32, L0B 64, L0C 128 KiB.
__aicore__ constexpr Shape shapeOf(uint32_t m, uint32_t n)
{
    Shape s{m, n, 512, 128, 2};
    while (2 * (s.a1() + s.b1()) > L1_BYTES) s.k /= 2;
    while (2 * s.a2() > L0A_BYTES || 2 * s.b2() > L0B_BYTES) s.l /= 2;
    if (2 * s.c0() > L0C_BYTES) s.c = 1;
    return s;
}

// evenRows divides rows evenly among the cores: the size of a tile, `most` at most.
__aicore__ constexpr uint32_t evenRows(uint32_t rows, uint32_t most, uint32_t cores)
{
    return rows == 0 ? 16 : up16(parts(rows, parts(rows, most * cores) * cores));
}

// Wide linears: 128 x 256 at most, 1/128 + 1/256 elements read for each product.
__aicore__ constexpr Shape wideShape(uint32_t m, uint32_t n) { return shapeOf(evenRows(m, 128, 1), evenRows(n, 256, 1)); }

// Narrow results: all their columns in one tile, so that the wide operand is read once.
// Three adapters of rank 128 side by side leave 64 rows. Kernels divide rows evenly among
// cores, within this size: that changes which core computes a row, not how, so bits do not
// depend on it.
__aicore__ constexpr Shape narrowShape(uint32_t cols) { return shapeOf(cols <= 256 ? 128 : 64, up16(cols)); }

// Gradients of weights: the long side of the tile along the long side of the matrix.
__aicore__ constexpr Shape gradShape(uint32_t m, uint32_t n)
{
    return n <= 128 ? shapeOf(evenRows(m, 256, 1), up16(n)) : wideShape(m, n);
}

// A band is the row tiles whose A stays in L2 while all columns of B pass by: 64 MiB of
// the 192 (96 on 910B4).
__aicore__ constexpr uint32_t bandOf(uint32_t m, uint32_t k)
{
    return 2ull * m * k >= (64ull << 20) ? 1 : uint32_t((64ull << 20) / (2ull * m * (k ? k : 1)));
}

struct Place { uint32_t row, col; };

// placeOf is tile t of mt x nt. Rows are the inner index within a band: cores at work at
// the same time share columns of B, and the band's rows of A.
__aicore__ constexpr Place placeOf(uint32_t t, uint32_t mt, uint32_t nt, uint32_t band)
{
    band = least(band, mt);
    uint32_t first = t / (band * nt) * band, height = least(band, mt - first);
    t -= first * nt;
    return {first + t % height, t / height};
}

// movedBytes is what a product C[m,n] += A·B over k brings into L1 in tiles of s: A once
// for each tile of columns, B once for each tile of rows.
__aicore__ constexpr uint64_t movedBytes(uint64_t m, uint64_t n, uint64_t k, uint32_t tileM, uint32_t tileN)
{
    return 2 * k * (m * ((n + tileN - 1) / tileN) + n * ((m + tileM - 1) / tileM));
}

// flopsOf is what the cube computes for it: whole blocks of k, and a single row as two.
__aicore__ constexpr uint64_t flopsOf(uint64_t m, uint64_t n, uint64_t k, uint32_t tileM)
{
    return 2 * n * ((k + 15) / 16 * 16) * (m % tileM == 1 ? m + 1 : m);
}

// ---- dropout: what vector cores prepare for the cube, and the reverse ----

constexpr uint32_t UB_BYTES = 192 * 1024 - 256;
constexpr uint32_t DROP_BLOCK = 4096; // elements that a vector core masks at a time

// Bytes of UB: the table, the hash and its temporaries, one number a pair of columns.
constexpr uint32_t MASK_BYTES = 5 * DROP_BLOCK / 2 * 4;
// x and y of 16 bit with two buffers each, and f32.
constexpr uint32_t DROP_BYTES = MASK_BYTES + DROP_BLOCK * (2 * 2 + 2 * 2 + 4);
// dx in and out, products f32, two buffers each; the sum and the mask as f32.
constexpr uint32_t DROP_DX_BYTES = MASK_BYTES + DROP_BLOCK * (2 * 2 + 2 * 2 + 2 * 4 + 4 + 4);

// Drop blocks are as many columns as fit, a multiple of 16, and as many rows.
__aicore__ constexpr uint32_t dropCols(uint32_t cols) { return least(DROP_BLOCK, cols); }
__aicore__ constexpr uint32_t dropRows(uint32_t cols) { return DROP_BLOCK / dropCols(cols); }

// Tiles of the mixed kernels, and bytes of workspace for each group of cores.
__aicore__ constexpr Shape downDropShape(uint32_t r) { return narrowShape(r); } // A from workspace: drop(x)
__aicore__ constexpr Shape gradDropShape(uint32_t r) { return shapeOf(up16(r), 256); } // B from workspace: drop(x)
__aicore__ constexpr Shape dxDropShape() { return shapeOf(64, 256); } // C to workspace, for each adapter
constexpr uint64_t DOWN_DROP_SLOT = 128 * 512 * 2, GRAD_DROP_SLOT = 256 * 256 * 2, DX_DROP_SLOT = 3 * 64 * 256 * 4;
constexpr uint64_t DOWN_DROP_SPACE = 2 * DOWN_DROP_SLOT, GRAD_DROP_SPACE = 2 * GRAD_DROP_SLOT, DX_DROP_SPACE = 2 * DX_DROP_SLOT;
} // namespace lorac
