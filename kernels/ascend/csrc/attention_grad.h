// What the cube and the vector cores of the gradient of attention share: the walk over
// blocks of keys, and the workspace.
#pragma once
#include "attention.h"

namespace {
namespace sizes = attention_sizes::gradient;
using sizes::STEP;

// Partial sums of dq are rows of f32, range after range of one sequence after the
// other; a query has one for each range of keys that it sees. A sequence of one block
// of keys has none: its dq is complete at once.
class Ranges {
public:
    __aicore__ inline Ranges(const Sequences& seq, uint32_t kvHeads) : seq_(seq), keys_(sizes::Range(kvHeads)) {}
    __aicore__ inline bool Single() const { return seq_.end - seq_.first <= COLS; }
    __aicore__ inline uint32_t Count() const { return (seq_.end - seq_.first + keys_ - 1) / keys_; }
    __aicore__ inline uint32_t Key(uint32_t range) const { return Least(seq_.first + range * keys_, seq_.end); }
    // Query is the first query that sees a range.
    __aicore__ inline uint32_t Query(uint32_t range) const { return range == 0 ? seq_.from : seq_.Find(Key(range), seq_.from, seq_.to); }
    // Before is the number of partial sums of the sequence in the ranges before one.
    __aicore__ inline uint64_t Before(uint32_t range) const
    {
        uint64_t n = 0;
        if (!Single())
            for (uint32_t r = 0; r < range; r++) n += seq_.to - Query(r);
        return n;
    }
    __aicore__ inline uint64_t All() const { return Before(Count()); }

private:
    const Sequences& seq_;
    uint32_t keys_;
};

// A key step takes up to STEP blocks of queries against a block of keys. Keys that no
// query sees have one step without blocks.
struct KeyStep {
    struct Block {
        uint32_t head, query, rows;
    } block[STEP];
    uint32_t blocks, kvHead, key, keys;
    bool begins, ends;  // the block of keys
    bool single, first; // it is the whole sequence; it is the first of its range
    uint64_t partial;   // row of the partial sum of dq of query 0
};

// KeySteps gives a group of cores its steps. An item is a range of keys of one key
// head, with all queries of all heads that share it.
class KeySteps {
public:
    __aicore__ inline KeySteps(Sequences& seq, uint32_t group, uint32_t groups, uint32_t heads, uint32_t kvHeads)
        : seq_(seq), ranges_(seq, kvHeads), items_(group, groups), kvHeads_(kvHeads), share_(heads / kvHeads)
    {
        seq_.Restart();
    }
    __aicore__ inline bool Next(KeyStep& s)
    {
        if (key_ == last_) {
            while (!items_.Holds(count_)) {
                rows_ += ranges_.All();
                if (!seq_.Next()) return false;
                count_ = ranges_.Count() * kvHeads_;
            }
            uint32_t n = items_.Take(), range = n / kvHeads_;
            kvHead_ = n % kvHeads_, first_ = key_ = ranges_.Key(range), last_ = ranges_.Key(range + 1);
            partial_ = rows_ + ranges_.Before(range) - ranges_.Query(range);
            Find();
        }
        s.kvHead = kvHead_, s.key = key_, s.keys = Least(COLS, last_ - key_), s.begins = done_ == 0;
        s.single = ranges_.Single(), s.first = key_ == first_, s.partial = partial_;
        for (s.blocks = 0; s.blocks < STEP && done_ < perHead_ * share_; s.blocks++, done_++) {
            uint32_t query = query_ + done_ % perHead_ * ROWS;
            s.block[s.blocks] = {kvHead_ * share_ + done_ / perHead_, query, Least(ROWS, seq_.to - query)};
        }
        s.ends = done_ == perHead_ * share_;
        if (s.ends) {
            key_ += s.keys;
            Find();
        }
        return true;
    }

private:
    // Find looks for the queries that see the block of keys.
    __aicore__ inline void Find()
    {
        query_ = seq_.Find(key_, seq_.from, seq_.to), perHead_ = (seq_.to - query_ + ROWS - 1) / ROWS, done_ = 0;
    }

    Sequences& seq_;
    Ranges ranges_;
    Items items_;
    uint64_t rows_ = 0, partial_; // of partial sums before the sequence
    uint32_t kvHeads_, share_, count_ = 0, kvHead_, key_ = 0, first_, last_ = 0, query_, perHead_, done_;
};

template <typename T>
class Gradient {
public:
    __aicore__ inline void Init(GM_ADDR ws, uint32_t group, uint64_t keys, uint64_t queries, uint32_t heads, uint32_t kvHeads, uint32_t headDim)
    {
        share_ = heads / kvHeads, dim_ = headDim, queryRow_ = heads * headDim, keyRow_ = kvHeads * headDim;
        constexpr uint32_t all = 2 * STEP * TILE;
        __gm__ uint8_t* mine = (__gm__ uint8_t*)ws + group * sizes::WORKSPACE;
        s_.SetGlobalBuffer((__gm__ float*)mine, all);
        dp_.SetGlobalBuffer((__gm__ float*)(mine + all * 4), all);
        p_.SetGlobalBuffer((__gm__ T*)(mine + all * 8), all);
        ds_.SetGlobalBuffer((__gm__ T*)(mine + all * 10), all);
        __gm__ float* shared = (__gm__ float*)((__gm__ uint8_t*)ws + GetBlockNum() * sizes::WORKSPACE);
        uint64_t rows = queries * heads;
        lseT_.SetGlobalBuffer(shared, rows);
        deltaT_.SetGlobalBuffer(shared + rows, rows);
        partial_.SetGlobalBuffer(shared + 2 * rows, sizes::PartialRows(keys, queries, kvHeads) * queryRow_);
    }

protected:
    __aicore__ inline uint64_t Slot(uint32_t half, uint32_t t) const { return (half * STEP + t) * TILE; }
    GlobalTensor<float> s_, dp_; // [2][STEP][ROWS][COLS]
    GlobalTensor<T> p_, ds_;
    GlobalTensor<float> lseT_, deltaT_, partial_; // [heads, queries], [heads, queries], [rows, heads·dim]
    uint32_t share_, dim_, queryRow_, keyRow_;
};
} // namespace
