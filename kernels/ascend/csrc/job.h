// Lists of products as lists of tiles over all cube cores.
#pragma once
#include "gemm.h"

namespace lorac {
template <typename T>
struct Term {
    __gm__ T* a;
    __gm__ T* b;
    uint32_t aRow, bRow, k;
};

template <typename C>
struct Output {
    __gm__ C* c; // [m,n]
    uint32_t m, n, first, terms, band;
};

// Job is up to four results, each the sum of its terms, as one list of tiles over all
// cores.
template <typename T, bool TA, bool TB, typename C>
class Job {
public:
    __aicore__ inline void Result(__gm__ C* c, uint32_t m, uint32_t n)
    {
        Output<C>& o = out_[outs_++];
        o.c = c, o.m = m, o.n = n, o.first = terms_, o.terms = 0;
    }

    // Add gives the last result one more term.
    __aicore__ inline void Add(Address a, Address b, uint32_t k)
    {
        if (k == 0) return;
        Output<C>& o = out_[outs_ - 1];
        Term<T>& t = term_[terms_++];
        t.a = (__gm__ T*)a, t.b = (__gm__ T*)b, t.k = k;
        t.aRow = TA ? o.m : k, t.bRow = TB ? o.n : k;
        o.terms++;
    }

    __aicore__ inline void Run(const Shape& s, bool stagger, bool add)
    {
        TPipe pipe;
        Product<T, TA, TB> cube;
        cube.Init(&pipe, s);
        s_ = s, stagger_ = stagger;
        for (uint32_t i = 0; i < outs_; i++) {
            uint32_t k = 0;
            for (uint32_t j = 0; j < out_[i].terms; j++) k += term_[out_[i].first + j].k;
            out_[i].band = bandOf(s.m, k);
        }
        Cursor fetch, use;
        Start(fetch, GetBlockIdx());
        use = fetch;
        if (!fetch.end) Fetch(cube, fetch);
        while (!use.end) {
            Next(fetch);
            if (!fetch.end) Fetch(cube, fetch);
            if (use.term == 0 && use.step == 0) cube.Begin(use.mv, use.nv);
            cube.Multiply(Width(use));
            const Output<C>& o = out_[use.out];
            if (use.step + 1 == use.steps && use.term + 1 == o.terms) {
                cube.End();
                cube.Store(o.c + uint64_t(use.m0) * o.n + use.n0, o.n, 0, use.nv, add);
                cube.Free();
            }
            Next(use);
        }
    }

private:
    struct Cursor { // a step: which tile, which term, which part of k
        uint32_t tile, out, m0, mv, n0, nv, term, step, steps, turn;
        bool end;
    };

    // Start finds a tile, and its first step.
    __aicore__ inline void Start(Cursor& p, uint32_t tile)
    {
        p.tile = tile, p.end = true;
        for (uint32_t i = 0, t = tile; i < outs_; i++) {
            const Output<C>& o = out_[i];
            uint32_t mt = parts(o.m, s_.m), nt = parts(o.n, s_.n);
            if (o.terms == 0) continue;
            if (t >= mt * nt) {
                t -= mt * nt;
                continue;
            }
            Place at = placeOf(t, mt, nt, o.band);
            p.end = false, p.out = i, p.turn = at.row;
            p.m0 = at.row * s_.m, p.mv = least(s_.m, o.m - p.m0);
            p.n0 = at.col * s_.n, p.nv = least(s_.n, o.n - p.n0);
            p.term = 0, p.step = 0, p.steps = parts(term_[o.first].k, s_.k);
            return;
        }
    }

    __aicore__ inline void Next(Cursor& p)
    {
        if (p.end || ++p.step < p.steps) return;
        const Output<C>& o = out_[p.out];
        if (++p.term == o.terms) return Start(p, p.tile + GetBlockNum());
        p.step = 0, p.steps = parts(term_[o.first + p.term].k, s_.k);
    }

    // From is where a step begins in k. Tiles of different rows begin at different steps, so
    // that cores which share columns do not read the same lines at the same moment.
    __aicore__ inline uint32_t From(const Cursor& p) { return (stagger_ ? (p.step + p.turn) % p.steps : p.step) * s_.k; }
    __aicore__ inline uint32_t Width(const Cursor& p) { return least(s_.k, term_[out_[p.out].first + p.term].k - From(p)); }

    __aicore__ inline void Fetch(Product<T, TA, TB>& cube, const Cursor& p)
    {
        const Term<T>& t = term_[out_[p.out].first + p.term];
        uint64_t k0 = From(p), k = Width(p);
        cube.FetchA(t.a + (TA ? k0 * t.aRow + p.m0 : uint64_t(p.m0) * t.aRow + k0), t.aRow, p.mv, k);
        cube.FetchB(t.b + (TB ? k0 * t.bRow + p.n0 : uint64_t(p.n0) * t.bRow + k0), t.bRow, p.nv, k);
    }

    Term<T> term_[6];
    Output<C> out_[4];
    uint32_t terms_ = 0, outs_ = 0;
    Shape s_;
    bool stagger_;
};
} // namespace lorac
