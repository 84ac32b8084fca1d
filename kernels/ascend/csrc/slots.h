// A workspace of two slots a group of cores, through which the cube and its two vector
// cores hand blocks to each other. Both sides wait: makers until a slot is free, users
// until it is full.
#pragma once
#include "kernel_operator.h"
#include "tiles.h"

namespace lorac {
using namespace AscendC;

constexpr uint16_t FULL = 0, FREE = 1;

// Maker is the side that fills slots. Wait before filling one, Done after, Finish at the end.
template <pipe_t LAST>
struct Maker {
    uint32_t made = 0;
    __aicore__ inline uint32_t Wait()
    {
        if (made >= 2) CrossCoreWaitFlag(FREE);
        return made++ % 2;
    }
    __aicore__ inline void Done() { CrossCoreSetFlag<2, LAST>(FULL); }
    __aicore__ inline void Finish()
    {
        for (uint32_t i = 0; i < least(made, 2); i++) CrossCoreWaitFlag(FREE);
    }
};

// User empties them; all its reads are copies of PIPE_MTE2.
struct User {
    uint32_t used = 0;
    __aicore__ inline uint32_t Wait()
    {
        CrossCoreWaitFlag(FULL);
        return used++ % 2;
    }
    __aicore__ inline void Done() { CrossCoreSetFlag<2, PIPE_MTE2>(FREE); }
};

// Halves: the rows of a block that a vector core of a group of two takes.
struct Half {
    uint32_t first, rows;
    __aicore__ inline Half(uint32_t all)
    {
        uint32_t half = (all + 1) / 2;
        first = GetSubBlockIdx() == 0 ? 0 : half;
        rows = GetSubBlockIdx() == 0 ? half : all - half;
    }
};
} // namespace lorac
