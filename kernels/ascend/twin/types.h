// Words of the language, 16-bit numbers, and the enumerations of the API. Arch 2201 only.
#pragma once
#include "machine.h"

#define __aicore__
#define __global__
#define __gm__
#define __ubuf__
#define __cbuf__
#define __ca__
#define __cb__
#define __cc__
#define __cube__
#define __vector__
#define __mix__(...)
#define __NPU_ARCH__ 2201
#define GM_ADDR uint8_t*
#define ASCEND_IS_AIC (twin::core->aic)
#define ASCEND_IS_AIV (!twin::core->aic)
#define ASCEND_IS_NOT_AIC (!twin::core->aic)
#define ASCEND_IS_NOT_AIV (twin::core->aic)
enum { KERNEL_TYPE_AIV_ONLY, KERNEL_TYPE_AIC_ONLY, KERNEL_TYPE_MIX_AIC_1_2 };
#define KERNEL_TASK_TYPE_DEFAULT(t) twin::checkKind(t, twin::joins)
namespace twin {
// kernels of a source that has flags between all cores are launched with all cores in one thread.
void checkKind(int type, bool joins);
namespace {
[[maybe_unused]] bool joins = false;                                   // of this source
template <int> struct Joins { static inline const bool here = (joins = true); }; // where this is instantiated
} // namespace
} // namespace twin

namespace twin {
template <typename To, typename From> inline To bitsOf(From f)
{
    static_assert(sizeof(To) == sizeof(From));
    To t;
    memcpy(&t, &f, sizeof t);
    return t;
}
inline uint16_t halfBits(float f) // to nearest even
{
    uint32_t u = bitsOf<uint32_t>(f), a = u & 0x7fffffff, sign = u >> 16 & 0x8000;
    uint32_t normal = (a - 0x38000000 + 0xfff + (a >> 13 & 1)) >> 13;
    uint32_t tiny = bitsOf<uint32_t>(bitsOf<float>(a) + 0.5f) - 0x3f000000; // an addition rounds at the right bit
    uint32_t r = a < 0x38800000 ? tiny : normal;
    r = a >= 0x477ff000 ? 0x7c00 : r;
    return sign | (a > 0x7f800000 ? 0x7e00 : r);
}
inline float halfValue(uint16_t h)
{
    uint32_t m = bitsOf<uint32_t>(bitsOf<float>(uint32_t(h & 0x7fff) << 13) * 0x1p112f);
    m |= (h & 0x7c00) == 0x7c00 ? 0x7f800000u : 0u;
    return bitsOf<float>(m | uint32_t(h & 0x8000) << 16);
}
inline uint16_t bfloatBits(float f) // to nearest even
{
    uint32_t u = bitsOf<uint32_t>(f);
    return (u & 0x7fffffff) > 0x7f800000 ? u >> 16 | 0x40 : (u + 0x7fff + (u >> 16 & 1)) >> 16;
}
inline float bfloatValue(uint16_t b) { return bitsOf<float>(uint32_t(b) << 16); }
} // namespace twin

struct half {
    uint16_t bits;
    half() = default;
    half(float f) : bits(twin::halfBits(f)) {}
    operator float() const { return twin::halfValue(bits); }
};
// The vector unit has no arithmetic for bfloat16_t, nor has this type.
struct bfloat16_t {
    uint16_t bits;
    bfloat16_t() = default;
    bfloat16_t(float f) : bits(twin::bfloatBits(f)) {}
    explicit operator float() const { return twin::bfloatValue(bits); }
};

enum event_t : int { EVENT_ID0, EVENT_ID1, EVENT_ID2, EVENT_ID3, EVENT_ID4, EVENT_ID5, EVENT_ID6, EVENT_ID7 };
enum QuantMode_t { NoQuant = 0, F322F16 = 1, F322BF16 = 16 };

namespace AscendC {
enum class TPosition : uint8_t { GM, A1, A2, B1, B2, C1, C2, CO1, CO2, VECIN, VECOUT, VECCALC, LCM = VECCALC };
using QuePosition = TPosition;
enum class RoundMode : uint8_t { CAST_NONE, CAST_RINT, CAST_FLOOR, CAST_CEIL, CAST_ROUND, CAST_TRUNC, CAST_ODD };
enum class ReduceOrder : uint8_t { ORDER_VALUE_INDEX, ORDER_INDEX_VALUE, ORDER_ONLY_VALUE, ORDER_ONLY_INDEX };
enum class CMPMODE : uint8_t { LT, GT, EQ, LE, GE, NE };
enum class SELMODE : uint8_t { VSEL_CMPMASK_SPR, VSEL_TENSOR_SCALAR_MODE, VSEL_TENSOR_TENSOR_MODE };
enum class HardEvent : uint8_t {
    MTE2_MTE1, MTE1_MTE2, MTE1_M, M_MTE1, MTE2_V, V_MTE2, MTE3_V, V_MTE3, M_V, V_M, V_V, MTE3_MTE1, MTE1_MTE3, MTE1_V, MTE2_M, M_MTE2, V_MTE1,
    M_FIX, FIX_M, MTE3_MTE2, MTE2_MTE3, S_V, V_S, S_MTE2, MTE2_S, S_MTE3, MTE3_S, MTE2_FIX, FIX_MTE2, FIX_S, M_S, FIX_MTE3, MTE1_FIX, FIX_MTE1, FIX_FIX, MAX
};
enum class CacheLine : uint64_t { SINGLE_CACHE_LINE, ENTIRE_DATA_CACHE };
enum class DcciDst : uint64_t { CACHELINE_ALL, CACHELINE_UB, CACHELINE_OUT, CACHELINE_ATOMIC };
enum class CacheMode : uint8_t { CACHE_MODE_DISABLE, CACHE_MODE_NORMAL, CACHE_MODE_LAST, CACHE_MODE_PERSISTENT };
enum class CacheRwMode : uint8_t { READ = 1, WRITE, RW };
using TEventID = int8_t;
constexpr uint64_t MASK_PLACEHOLDER = 0;
enum class MaskMode : uint8_t { NORMAL, COUNTER };
constexpr uint32_t ONE_BLK_SIZE = 32;

inline bfloat16_t ToBfloat16(const float& f) { return bfloat16_t(f); }
inline float ToFloat(const bfloat16_t& b) { return float(b); }
} // namespace AscendC

namespace twin {
struct Ends { pipe_t from, to; };
constexpr Ends ends(AscendC::HardEvent e)
{
    constexpr Ends table[] = {
        {PIPE_MTE2, PIPE_MTE1}, {PIPE_MTE1, PIPE_MTE2}, {PIPE_MTE1, PIPE_M}, {PIPE_M, PIPE_MTE1}, {PIPE_MTE2, PIPE_V}, {PIPE_V, PIPE_MTE2}, {PIPE_MTE3, PIPE_V},
        {PIPE_V, PIPE_MTE3}, {PIPE_M, PIPE_V}, {PIPE_V, PIPE_M}, {PIPE_V, PIPE_V}, {PIPE_MTE3, PIPE_MTE1}, {PIPE_MTE1, PIPE_MTE3}, {PIPE_MTE1, PIPE_V},
        {PIPE_MTE2, PIPE_M}, {PIPE_M, PIPE_MTE2}, {PIPE_V, PIPE_MTE1}, {PIPE_M, PIPE_FIX}, {PIPE_FIX, PIPE_M}, {PIPE_MTE3, PIPE_MTE2}, {PIPE_MTE2, PIPE_MTE3},
        {PIPE_S, PIPE_V}, {PIPE_V, PIPE_S}, {PIPE_S, PIPE_MTE2}, {PIPE_MTE2, PIPE_S}, {PIPE_S, PIPE_MTE3}, {PIPE_MTE3, PIPE_S}, {PIPE_MTE2, PIPE_FIX},
        {PIPE_FIX, PIPE_MTE2}, {PIPE_FIX, PIPE_S}, {PIPE_M, PIPE_S}, {PIPE_FIX, PIPE_MTE3}, {PIPE_MTE1, PIPE_FIX}, {PIPE_FIX, PIPE_MTE1}, {PIPE_FIX, PIPE_FIX}};
    return table[int(e)];
}
// Where a queue's buffers are, the pipes that hand them over, and the pipe that frees them.
struct Place { Mem mem; pipe_t from, to; };
constexpr Place place(AscendC::TPosition p)
{
    using P = AscendC::TPosition;
    switch (p) {
        case P::A1: case P::B1: case P::C1: return {Mem::L1, PIPE_MTE2, PIPE_MTE1};
        case P::A2: return {Mem::L0A, PIPE_MTE1, PIPE_M};
        case P::B2: return {Mem::L0B, PIPE_MTE1, PIPE_M};
        case P::C2: return {Mem::BT, PIPE_MTE1, PIPE_M};
        case P::CO1: return {Mem::L0C, PIPE_M, PIPE_FIX};
        case P::VECIN: return {Mem::UB, PIPE_MTE2, PIPE_V};
        case P::VECOUT: return {Mem::UB, PIPE_V, PIPE_MTE3};
        default: return {Mem::UB, PIPE_V, PIPE_V};
    }
}
} // namespace twin
