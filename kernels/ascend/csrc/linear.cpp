// The linears of a LoRA step, on the cube. m rows (tokens), k and n widths, r ranks, all
// of any size; low-rank pairs are summed in the L0C tile of the base product, so neither
// x·aᵀ·bᵀ nor a sum of the two is ever stored. The LoRA scale is in the operands.
//
// Moved: bytes from global memory to L1. tiles.h has the arithmetic, and counts FLOPs.
#include "job.h"

namespace lorac {
namespace {
struct Pair {
    uint32_t high, low;
    __aicore__ inline Pair(uint64_t v) : high(v >> 32), low(v) {}
};

// Moved: 2·k·(m + tiles of rows·Σ r). x is read once for all adapters.
template <typename T>
__aicore__ inline void Down(Address x, uint32_t m, uint32_t k, const Address* t, const Address* a, const uint32_t* r)
{
    __gm__ T* b[3] = {(__gm__ T*)a[0], (__gm__ T*)a[1], (__gm__ T*)a[2]};
    uint32_t cols = up16(r[0]) + up16(r[1]) + up16(r[2]);
    if (cols == 0) return;
    Shape s = narrowShape(cols);
    uint32_t rows = evenRows(m, s.m, GetBlockNum()), steps = parts(k, s.k);
    TPipe pipe;
    Product<T, false, false> cube;
    cube.Init(&pipe, s);
    __gm__ T* from = (__gm__ T*)x;
    auto fetch = [&](uint32_t m0, uint32_t step) {
        uint32_t k0 = step * s.k;
        cube.FetchA(from + uint64_t(m0) * k + k0, k, least(rows, m - m0), least(s.k, k - k0));
        cube.FetchStack(b, r, 3, k0, k, least(s.k, k - k0));
    };
    uint32_t hop = GetBlockNum() * rows, m0 = GetBlockIdx() * rows;
    if (m0 < m) fetch(m0, 0);
    for (; m0 < m; m0 += hop) {
        cube.Begin(least(rows, m - m0), cols);
        for (uint32_t step = 0; step < steps; step++) {
            if (step + 1 < steps) fetch(m0, step + 1);
            else if (m0 + hop < m) fetch(m0 + hop, 0);
            cube.Multiply(least(s.k, k - step * s.k));
        }
        cube.End();
        for (uint32_t i = 0, at = 0; i < 3; at += up16(r[i]), i++)
            if (r[i] > 0) cube.Store((__gm__ T*)t[i] + uint64_t(m0) * r[i], r[i], at, r[i], false);
        cube.Free();
    }
}

// Moved: movedBytes(m, n_i, k + r_i) for each i.
template <typename T, typename C>
__aicore__ inline void Linear(Address x, uint32_t m, uint32_t k, const Address (*of)[4], const Pair* nr)
{
    Job<T, false, false, C> job;
    uint32_t n = 0;
    for (uint32_t i = 0; i < 3; i++) {
        if (nr[i].high == 0) continue;
        n = n < nr[i].high ? nr[i].high : n;
        job.Result((__gm__ C*)of[i][0], m, nr[i].high);
        job.Add(x, of[i][1], k);
        job.Add(of[i][2], of[i][3], nr[i].low);
    }
    if (m > 0 && n > 0) job.Run(wideShape(m, n), true, false);
}

// Moved: 2·n_i·(m + tiles of rows·r_i) for each i.
template <typename T>
__aicore__ inline void UpGrad(uint32_t m, const Address (*of)[3], const Pair* rn)
{
    Job<T, false, true, T> job;
    uint32_t r = 0, count = 0;
    for (uint32_t i = 0; i < 3; i++) {
        if (rn[i].high == 0) continue;
        count++, r = r < rn[i].high ? rn[i].high : r;
        job.Result((__gm__ T*)of[i][0], m, rn[i].high);
        job.Add(of[i][1], of[i][2], rn[i].low);
    }
    if (m == 0 || count == 0) return;
    Shape s = narrowShape(r);
    s.m = evenRows(m * count, s.m, GetBlockNum());
    job.Run(s, false, false);
}

// Moved: movedBytes(m, k, Σ n_i + r_i).
template <typename T>
__aicore__ inline void Grad(Address dx, uint32_t m, uint32_t k, const Address (*of)[4], const Pair* nr)
{
    Job<T, false, true, T> job;
    job.Result((__gm__ T*)dx, m, k);
    for (uint32_t i = 0; i < 3; i++) {
        job.Add(of[i][0], of[i][1], nr[i].high);
        job.Add(of[i][2], of[i][3], nr[i].low);
    }
    if (m > 0) job.Run(wideShape(m, k), true, false);
}

// One core sums all tokens of its tile, in order. Moved: movedBytes(m_i, n_i, t) for each i.
template <typename T>
__aicore__ inline void WeightGrad(uint32_t t, const Address (*of)[3], const Pair* mn)
{
    Job<T, true, true, float> job;
    uint32_t m = 0, n = 0;
    for (uint32_t i = 0; i < 4; i++) {
        if (mn[i].high == 0 || mn[i].low == 0) continue;
        m = m < mn[i].high ? mn[i].high : m;
        n = n < mn[i].low ? mn[i].low : n;
        job.Result((__gm__ float*)of[i][0], mn[i].high, mn[i].low);
        job.Add(of[i][1], of[i][2], t);
    }
    if (t > 0 && m > 0) job.Run(gradShape(m, n), false, true);
}
} // namespace
} // namespace lorac

#define LINEAR_KERNELS(T, NAME) \
    /* t_i[m,r_i] = x[m,k]·a_i[r_i,k]ᵀ; r_i = 0: absent */ \
    extern "C" __global__ __aicore__ void lora_down_##NAME(GM_ADDR x, uint64_t m, uint64_t k, GM_ADDR t0, GM_ADDR a0, uint64_t r0, GM_ADDR t1, GM_ADDR a1, uint64_t r1, \
                                                           GM_ADDR t2, GM_ADDR a2, uint64_t r2) \
    { \
        KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIC_ONLY); \
        const lorac::Address t[] = {t0, t1, t2}, a[] = {a0, a1, a2}; \
        const uint32_t r[] = {uint32_t(r0), uint32_t(r1), uint32_t(r2)}; \
        lorac::Down<T>(x, m, k, t, a, r); \
    } \
    /* y_i[m,n_i] = x[m,k]·w_i[n_i,k]ᵀ + t_i[m,r_i]·b_i[n_i,r_i]ᵀ; nr = n<<32|r; n = 0: absent, r = 0: plain */ \
    extern "C" __global__ __aicore__ void lora_linear_##NAME(GM_ADDR x, uint64_t m, uint64_t k, GM_ADDR y0, GM_ADDR w0, GM_ADDR t0, GM_ADDR b0, uint64_t nr0, GM_ADDR y1, \
                                                             GM_ADDR w1, GM_ADDR t1, GM_ADDR b1, uint64_t nr1, GM_ADDR y2, GM_ADDR w2, GM_ADDR t2, GM_ADDR b2, uint64_t nr2) \
    { \
        KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIC_ONLY); \
        const lorac::Address of[][4] = {{y0, w0, t0, b0}, {y1, w1, t1, b1}, {y2, w2, t2, b2}}; \
        const lorac::Pair nr[] = {nr0, nr1, nr2}; \
        lorac::Linear<T, T>(x, m, k, of, nr); \
    } \
    /* y[m,n] f32 = x[m,k]·w[n,k]ᵀ */ \
    extern "C" __global__ __aicore__ void linear_f32_##NAME(GM_ADDR y, GM_ADDR x, GM_ADDR w, uint64_t m, uint64_t n, uint64_t k) \
    { \
        KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIC_ONLY); \
        const lorac::Address of[][4] = {{y, w, nullptr, nullptr}, {}, {}}; \
        const lorac::Pair nr[] = {n << 32, 0, 0}; \
        lorac::Linear<T, float>(x, m, k, of, nr); \
    } \
    /* dt_i[m,r_i] = dy_i[m,n_i]·b_i[n_i,r_i]; rn = r<<32|n; r = 0: absent */ \
    extern "C" __global__ __aicore__ void lora_up_grad_##NAME(uint64_t m, GM_ADDR dt0, GM_ADDR dy0, GM_ADDR b0, uint64_t rn0, GM_ADDR dt1, GM_ADDR dy1, GM_ADDR b1, \
                                                              uint64_t rn1, GM_ADDR dt2, GM_ADDR dy2, GM_ADDR b2, uint64_t rn2) \
    { \
        KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIC_ONLY); \
        const lorac::Address of[][3] = {{dt0, dy0, b0}, {dt1, dy1, b1}, {dt2, dy2, b2}}; \
        const lorac::Pair rn[] = {rn0, rn1, rn2}; \
        lorac::UpGrad<T>(m, of, rn); \
    } \
    /* dx[m,k] = Σ dy_i[m,n_i]·w_i[n_i,k] + dt_i[m,r_i]·a_i[r_i,k]; nr = n<<32|r; 0: absent */ \
    extern "C" __global__ __aicore__ void lora_linear_grad_##NAME(GM_ADDR dx, uint64_t m, uint64_t k, GM_ADDR dy0, GM_ADDR w0, GM_ADDR dt0, GM_ADDR a0, uint64_t nr0, \
                                                                  GM_ADDR dy1, GM_ADDR w1, GM_ADDR dt1, GM_ADDR a1, uint64_t nr1, GM_ADDR dy2, GM_ADDR w2, GM_ADDR dt2, \
                                                                  GM_ADDR a2, uint64_t nr2) \
    { \
        KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIC_ONLY); \
        const lorac::Address of[][4] = {{dy0, w0, dt0, a0}, {dy1, w1, dt1, a1}, {dy2, w2, dt2, a2}}; \
        const lorac::Pair nr[] = {nr0, nr1, nr2}; \
        lorac::Grad<T>(dx, m, k, of, nr); \
    } \
    /* g_i[m_i,n_i] f32 += a_i[t,m_i]ᵀ·b_i[t,n_i]; mn = m<<32|n; m = 0: absent */ \
    extern "C" __global__ __aicore__ void weight_grad_##NAME(uint64_t t, GM_ADDR g0, GM_ADDR a0, GM_ADDR b0, uint64_t mn0, GM_ADDR g1, GM_ADDR a1, GM_ADDR b1, uint64_t mn1, \
                                                             GM_ADDR g2, GM_ADDR a2, GM_ADDR b2, uint64_t mn2, GM_ADDR g3, GM_ADDR a3, GM_ADDR b3, uint64_t mn3) \
    { \
        KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIC_ONLY); \
        const lorac::Address of[][3] = {{g0, a0, b0}, {g1, a1, b1}, {g2, a2, b2}, {g3, a3, b3}}; \
        const lorac::Pair mn[] = {mn0, mn1, mn2, mn3}; \
        lorac::WeightGrad<T>(t, of, mn); \
    }

LINEAR_KERNELS(bfloat16_t, bf16)
LINEAR_KERNELS(half, f16)
