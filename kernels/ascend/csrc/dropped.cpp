// Linears behind a dropout. drop(x) is never stored whole: the vector cores of a group
// make it by blocks in a workspace that stays in L2, from which the cube multiplies; the
// other way round for the gradient of x, whose mask applies to a product.
#include "drop.h"
#include "gemm.h"
#include "slots.h"

namespace lorac {
namespace {
// Blocks by rows while there are enough of them, else also by columns.
// Moved: each element in and out once.
template <typename T>
__aicore__ inline void Drop(GM_ADDR y, GM_ADDR x, GM_ADDR seeds, uint32_t rows, uint32_t cols, uint64_t stream, uint32_t limit, float scale)
{
    TPipe pipe;
    Dropper<T> drop;
    drop.Init(&pipe, seeds, limit, scale);
    uint32_t wide = dropCols(cols), few = dropRows(cols), across = parts(cols, wide), all = parts(rows, few) * across;
    for (uint32_t i = GetBlockIdx(); i < all; i += GetBlockNum()) {
        uint32_t r = i / across * few, c = i % across * wide;
        uint64_t at = uint64_t(r) * cols + c;
        drop.Block((__gm__ T*)y + at, cols, (__gm__ T*)x + at, cols, r, least(few, rows - r), c, least(wide, cols - c), stream);
    }
}

// Moved into L1: 2·k·(m + tiles of rows·r), m·k of it from the workspace.
template <typename T>
__aicore__ inline void DownDrop(GM_ADDR t, GM_ADDR x, GM_ADDR a, GM_ADDR seeds, GM_ADDR ws, uint32_t m, uint32_t k, uint32_t r, uint64_t stream, uint32_t limit, float scale)
{
    Shape s = downDropShape(r);
    uint32_t groups = GetBlockNum(), rows = evenRows(m, s.m, groups), hop = groups * rows;
    TPipe pipe;
    if ASCEND_IS_AIC {
        uint32_t group = GetBlockIdx();
        __gm__ T* slots = (__gm__ T*)(ws + group * DOWN_DROP_SPACE);
        Product<T, false, false> cube;
        cube.Init(&pipe, s);
        User user;
        for (uint32_t m0 = group * rows; m0 < m; m0 += hop) {
            uint32_t mv = least(rows, m - m0);
            cube.Begin(mv, r);
            for (uint32_t k0 = 0; k0 < k; k0 += s.k) {
                uint32_t kv = least(s.k, k - k0);
                cube.FetchB((__gm__ T*)a + k0, k, r, kv);
                cube.FetchA(slots + user.Wait() * (DOWN_DROP_SLOT / 2), s.k, mv, kv);
                user.Done();
                cube.Multiply(kv);
            }
            cube.End();
            cube.Store((__gm__ T*)t + uint64_t(m0) * r, r, 0, r, false);
            cube.Free();
        }
    }
    if ASCEND_IS_AIV {
        uint32_t group = GetBlockIdx() / 2;
        __gm__ T* slots = (__gm__ T*)(ws + group * DOWN_DROP_SPACE);
        Dropper<T> drop;
        drop.Init(&pipe, seeds, limit, scale);
        Maker<PIPE_MTE3> maker;
        for (uint32_t m0 = group * rows; m0 < m; m0 += hop) {
            Half half(least(rows, m - m0));
            uint32_t row = m0 + half.first;
            for (uint32_t k0 = 0; k0 < k; k0 += s.k) {
                __gm__ T* slot = slots + maker.Wait() * (DOWN_DROP_SLOT / 2) + half.first * s.k;
                drop.Copy(slot, s.k, (__gm__ T*)x + uint64_t(row) * k + k0, k, row, half.rows, k0, least(s.k, k - k0), stream);
                maker.Done();
            }
        }
        maker.Finish();
    }
}

// A group sums all tokens of its columns, in order. Moved into L1: 2·t·(k + tiles of
// columns·r), t·k of it from the workspace.
template <typename T>
__aicore__ inline void GradDrop(GM_ADDR g, GM_ADDR dt, GM_ADDR x, GM_ADDR seeds, GM_ADDR ws, uint32_t r, uint32_t k, uint32_t t, uint64_t stream, uint32_t limit, float scale)
{
    Shape s = gradDropShape(r);
    uint32_t groups = GetBlockNum(), cols = evenRows(k, s.n, groups), hop = groups * cols;
    TPipe pipe;
    if ASCEND_IS_AIC {
        uint32_t group = GetBlockIdx();
        __gm__ T* slots = (__gm__ T*)(ws + group * GRAD_DROP_SPACE);
        Product<T, true, true> cube;
        cube.Init(&pipe, s);
        User user;
        for (uint32_t n0 = group * cols; n0 < k; n0 += hop) {
            uint32_t nv = least(cols, k - n0);
            cube.Begin(r, nv);
            for (uint32_t t0 = 0; t0 < t; t0 += s.k) {
                uint32_t tv = least(s.k, t - t0);
                cube.FetchA((__gm__ T*)dt + uint64_t(t0) * r, r, r, tv);
                cube.FetchB(slots + user.Wait() * (GRAD_DROP_SLOT / 2), 256, nv, tv);
                user.Done();
                cube.Multiply(tv);
            }
            cube.End();
            cube.Store((__gm__ float*)g + n0, k, 0, nv, true);
            cube.Free();
        }
    }
    if ASCEND_IS_AIV {
        uint32_t group = GetBlockIdx() / 2;
        __gm__ T* slots = (__gm__ T*)(ws + group * GRAD_DROP_SPACE);
        Dropper<T> drop;
        drop.Init(&pipe, seeds, limit, scale);
        Maker<PIPE_MTE3> maker;
        for (uint32_t n0 = group * cols; n0 < k; n0 += hop) {
            for (uint32_t t0 = 0; t0 < t; t0 += s.k) {
                Half half(least(s.k, t - t0));
                uint32_t row = t0 + half.first;
                __gm__ T* slot = slots + maker.Wait() * (GRAD_DROP_SLOT / 2) + half.first * 256;
                drop.Copy(slot, 256, (__gm__ T*)x + uint64_t(row) * k + n0, k, row, half.rows, n0, least(cols, k - n0), stream);
                maker.Done();
            }
        }
        maker.Finish();
    }
}

struct Adapter { // dt[m,r], a[r,k], stream
    Address dt, a;
    uint32_t r, stream;
};

// The cube's side of lora_dx_drop: dt·a of each adapter, f32, in slots of 64 x 256.
// Moved into L1: movedBytes(m, k, r) for each adapter.
template <typename T>
__aicore__ inline void DxProducts(TPipe* pipe, __gm__ float* slots, uint32_t m, uint32_t k, const Adapter* of, uint32_t count)
{
    Shape s = dxDropShape();
    Product<T, false, true> cube;
    cube.Init(pipe, s);
    Maker<PIPE_FIX> maker;
    uint32_t across = parts(k, s.n), all = parts(m, s.m) * across;
    for (uint32_t i = GetBlockIdx(); i < all; i += GetBlockNum()) {
        uint32_t m0 = i / across * s.m, n0 = i % across * s.n, mv = least(s.m, m - m0), nv = least(s.n, k - n0);
        __gm__ float* slot = slots + maker.Wait() * (DX_DROP_SLOT / 4);
        for (uint32_t j = 0; j < count; j++) {
            uint32_t r = of[j].r;
            cube.FetchA((__gm__ T*)of[j].dt + uint64_t(m0) * r, r, mv, r);
            cube.FetchB((__gm__ T*)of[j].a + n0, k, nv, r);
            cube.Begin(mv, nv);
            cube.Multiply(r);
            cube.End();
            cube.Store(slot + j * s.c0() / 4, s.n, 0, nv, false);
            cube.Free();
        }
        maker.Done();
    }
    maker.Finish();
}

// The vector cores' side: dx = T(dx + Σ mask·scale·product).
template <typename T>
class DxSum {
public:
    __aicore__ inline void Init(TPipe* pipe, GM_ADDR seeds, uint32_t limit, float scale)
    {
        mask_.Init(pipe, seeds, limit);
        scale_ = scale;
        pipe->InitBuffer(in_, 2, DROP_BLOCK * 2);
        pipe->InitBuffer(out_, 2, DROP_BLOCK * 2);
        pipe->InitBuffer(product_, 2, DROP_BLOCK * 4);
        pipe->InitBuffer(sum_, DROP_BLOCK * 4);
        pipe->InitBuffer(keep_, DROP_BLOCK * 4);
        mask_.Start();
    }

    __aicore__ inline void Run(__gm__ T* dx, __gm__ float* slots, uint32_t m, uint32_t k, const Adapter* of, uint32_t count)
    {
        Shape s = dxDropShape();
        User user;
        uint32_t across = parts(k, s.n), all = parts(m, s.m) * across;
        for (uint32_t i = GetBlockIdx() / 2; i < all; i += GetBlockNum()) {
            uint32_t m0 = i / across * s.m, n0 = i % across * s.n, nv = least(s.n, k - n0), few = dropRows(nv);
            Half half(least(s.m, m - m0));
            __gm__ float* slot = slots + user.Wait() * (DX_DROP_SLOT / 4);
            for (uint32_t r = half.first; r < half.first + half.rows; r += few)
                Block(dx + uint64_t(m0 + r) * k + n0, slot + r * s.n, s.c0() / 4, k, m0 + r, least(few, half.first + half.rows - r), n0, nv, of, count);
            user.Done();
        }
    }

private:
    __aicore__ inline void Block(__gm__ T* dx, __gm__ float* product, uint32_t apart, uint32_t k, uint32_t row0, uint32_t rows, uint32_t col0, uint32_t cols, const Adapter* of, uint32_t count)
    {
        uint32_t n = rows * cols;
        GlobalTensor<T> g;
        GlobalTensor<float> p;
        g.SetGlobalBuffer(dx), p.SetGlobalBuffer(product);
        LocalTensor<float> sum = sum_.Get<float>(), keep = keep_.Get<float>();
        LocalTensor<T> a = in_.template AllocTensor<T>();
        DataCopy(a, g, DataCopyParams(rows, cols / 16, (k - cols) / 16, 0));
        in_.EnQue(a);
        for (uint32_t j = 0; j < count; j++) {
            LocalTensor<float> f = product_.AllocTensor<float>();
            DataCopy(f, p[j * apart], DataCopyParams(rows, cols / 8, (256 - cols) / 8, 0));
            product_.EnQue(f);
            LocalTensor<int16_t> mask = mask_.Make(row0, rows, col0, cols, of[j].stream);
            if (j == 0) { // dx has come in while the mask was made
                a = in_.template DeQue<T>();
                Cast(sum, a, RoundMode::CAST_NONE, n);
                in_.FreeTensor(a);
            }
            f = product_.DeQue<float>();
            Cast(keep, mask, RoundMode::CAST_NONE, n);
            PipeBarrier<PIPE_V>();
            Mul(f, f, keep, n);
            PipeBarrier<PIPE_V>();
            Axpy(sum, f, -scale_, n); // the mask is -1
            PipeBarrier<PIPE_V>();
            product_.FreeTensor(f);
        }
        LocalTensor<T> b = out_.template AllocTensor<T>();
        Cast(b, sum, RoundMode::CAST_RINT, n);
        out_.EnQue(b);
        b = out_.template DeQue<T>();
        DataCopy(g, b, DataCopyParams(rows, cols / 16, 0, (k - cols) / 16));
        out_.FreeTensor(b);
    }

    Mask mask_;
    TQue<TPosition::VECIN, 1> in_, product_;
    TQue<TPosition::VECOUT, 1> out_;
    TBuf<TPosition::VECCALC> sum_, keep_;
    float scale_;
};

template <typename T>
__aicore__ inline void DxDrop(GM_ADDR dx, GM_ADDR seeds, GM_ADDR ws, uint32_t m, uint32_t k, uint32_t limit, float scale, const Adapter* of)
{
    Adapter present[3];
    uint32_t count = 0;
    for (uint32_t i = 0; i < 3; i++)
        if (of[i].r > 0) present[count++] = of[i];
    if (count == 0) return;
    TPipe pipe;
    if ASCEND_IS_AIC DxProducts<T>(&pipe, (__gm__ float*)(ws + GetBlockIdx() * DX_DROP_SPACE), m, k, present, count);
    if ASCEND_IS_AIV {
        DxSum<T> sum;
        sum.Init(&pipe, seeds, limit, scale);
        sum.Run((__gm__ T*)dx, (__gm__ float*)(ws + GetBlockIdx() / 2 * DX_DROP_SPACE), m, k, present, count);
    }
}
} // namespace
} // namespace lorac

#define DROPPED_KERNELS(T, NAME) \
    /* y[rows,cols] = drop(x); y may be x */ \
    extern "C" __global__ __aicore__ void dropout_##NAME(GM_ADDR y, GM_ADDR x, GM_ADDR seeds, uint64_t rows, uint64_t cols, uint64_t stream, uint64_t limit, uint64_t scaleBits) \
    { \
        KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY); \
        lorac::Drop<T>(y, x, seeds, rows, cols, stream, limit, lorac::floatOf(scaleBits)); \
    } \
    /* t[m,r] = T(drop(x[m,k]))·a[r,k]ᵀ */ \
    extern "C" __global__ __aicore__ void lora_down_drop_##NAME(GM_ADDR t, GM_ADDR x, GM_ADDR a, GM_ADDR seeds, GM_ADDR ws, uint64_t m, uint64_t k, uint64_t r, uint64_t stream, \
                                                                uint64_t limit, uint64_t scaleBits) \
    { \
        KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2); \
        lorac::DownDrop<T>(t, x, a, seeds, ws, m, k, r, stream, limit, lorac::floatOf(scaleBits)); \
    } \
    /* g[r,k] f32 += dt[t,r]ᵀ·T(drop(x[t,k])) */ \
    extern "C" __global__ __aicore__ void weight_grad_drop_##NAME(GM_ADDR g, GM_ADDR dt, GM_ADDR x, GM_ADDR seeds, GM_ADDR ws, uint64_t r, uint64_t k, uint64_t t, \
                                                                  uint64_t stream, uint64_t limit, uint64_t scaleBits) \
    { \
        KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2); \
        lorac::GradDrop<T>(g, dt, x, seeds, ws, r, k, t, stream, limit, lorac::floatOf(scaleBits)); \
    } \
    /* dx[m,k] = T(dx + Σ drop_i(dt_i[m,r_i]·a_i[r_i,k])); rs = r<<32|stream; r = 0: absent */ \
    extern "C" __global__ __aicore__ void lora_dx_drop_##NAME(GM_ADDR dx, GM_ADDR seeds, GM_ADDR ws, uint64_t m, uint64_t k, uint64_t limit, uint64_t scaleBits, GM_ADDR dt0, \
                                                              GM_ADDR a0, uint64_t rs0, GM_ADDR dt1, GM_ADDR a1, uint64_t rs1, GM_ADDR dt2, GM_ADDR a2, uint64_t rs2) \
    { \
        KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2); \
        const lorac::Adapter of[] = {{dt0, a0, uint32_t(rs0 >> 32), uint32_t(rs0)}, {dt1, a1, uint32_t(rs1 >> 32), uint32_t(rs1)}, {dt2, a2, uint32_t(rs2 >> 32), uint32_t(rs2)}}; \
        lorac::DxDrop<T>(dx, seeds, ws, m, k, limit, lorac::floatOf(scaleBits), of); \
    }

DROPPED_KERNELS(bfloat16_t, bf16)
DROPPED_KERNELS(half, f16)
