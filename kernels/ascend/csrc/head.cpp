// Head and cross-entropy in one kernel; see head.h.
#include "head_cube.h"
#include "head_merge.h"
#include "head_vector.h"

namespace {
using namespace AscendC;

template <typename T>
__aicore__ inline void headLoss(head::Problem p)
{
    if (p.rows == 0) return;
    TPipe pipe;
    p.groups = GetBlockNum();
    p.group = GetBlockIdx();
    if ASCEND_IS_AIV { p.group /= 2; }
    p.Plan();
    auto walk = [&](auto& half) {
        half.Init(&pipe, p);
        uint64_t tasks = head::parts(p.rows, p.step) * p.ranges;
        for (uint64_t t = p.group; t < tasks; t += p.groups) {
            uint64_t row = t / p.ranges * p.step;
            half.Run(row, vec::least(p.step, p.rows - row), t % p.ranges);
        }
    };
    if ASCEND_IS_AIC {
        head::Cube<T> cube;
        walk(cube);
    }
    if ASCEND_IS_AIV {
        head::Vector<T> vector;
        walk(vector);
        SyncAll(); // each has waited for its cube
        pipe.Reset();
        head::Merge<T> merge;
        merge.Init(&pipe, p);
        merge.Run();
    }
}
} // namespace

extern "C" __global__ __aicore__ void head_loss_bf16(GM_ADDR loss, GM_ADDR dx, GM_ADDR x, GM_ADDR w, GM_ADDR targets, GM_ADDR weights, GM_ADDR ws, uint64_t rows, uint64_t cols, uint64_t vocab)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
    headLoss<bfloat16_t>({loss, dx, x, w, targets, weights, ws, rows, cols, vocab, 0, 0, 0, 0});
}

extern "C" __global__ __aicore__ void head_loss_f16(GM_ADDR loss, GM_ADDR dx, GM_ADDR x, GM_ADDR w, GM_ADDR targets, GM_ADDR weights, GM_ADDR ws, uint64_t rows, uint64_t cols, uint64_t vocab)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
    headLoss<half>({loss, dx, x, w, targets, weights, ws, rows, cols, vocab, 0, 0, 0, 0});
}
