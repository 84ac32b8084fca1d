// Vector instructions. A repeat takes 256 bytes of the widest operand, 8 blocks of 32 bytes.
// Three forms: a count of elements; a mask with repeats and strides; the same with the mask that SetVectorMask set.
#pragma once
#include "pipe.h"

namespace twin {
enum class Type : uint8_t { F32, F16, BF16, I32, U32, I16, U16, I8, U8, I64, U64 };
template <typename T> constexpr Type typeOf()
{
    if constexpr (std::is_same_v<T, float>) return Type::F32;
    else if constexpr (std::is_same_v<T, half>) return Type::F16;
    else if constexpr (std::is_same_v<T, bfloat16_t>) return Type::BF16;
    else if constexpr (std::is_same_v<T, int32_t>) return Type::I32;
    else if constexpr (std::is_same_v<T, uint32_t>) return Type::U32;
    else if constexpr (std::is_same_v<T, int16_t>) return Type::I16;
    else if constexpr (std::is_same_v<T, uint16_t>) return Type::U16;
    else if constexpr (std::is_same_v<T, int8_t>) return Type::I8;
    else if constexpr (std::is_same_v<T, uint8_t>) return Type::U8;
    else if constexpr (sizeof(T) == 8 && std::is_signed_v<T>) return Type::I64;
    else return Type::U64;
}
constexpr int sizes[] = {4, 2, 2, 4, 4, 2, 2, 1, 1, 8, 8};
constexpr int sizeOf(Type t) { return sizes[int(t)]; }
enum class Op : uint8_t {
    Add, Sub, Mul, Div, Max, Min, And, Or, AddRelu, SubRelu, MulAddDst, FusedMulAdd, FusedMulAddRelu, Axpy,
    Adds, Muls, Maxs, Mins, LeakyRelu, ShiftLeft, ShiftRight, Exp, Ln, Abs, Sqrt, Rsqrt, Reciprocal, Relu, Not, Copy, Fill, count
};

// Which elements an instruction takes.
struct Mask {
    uint32_t n = 0;       // the count of the first form
    uint64_t bits[2] = {};
    int repeat = -1;      // -1: counted
};
struct Operand {
    const Tensor& t;
    Type type;
    int block, repeat; // strides in 32 bytes
};
Mask counted(const char* op, int64_t n);
Mask masked(const char* op, bool set, const uint64_t bits[2], int repeat, int width);
Mask masked(const char* op, bool set, uint64_t lanes, int repeat, int width);
void vector(const char* name, Op op, const Operand& d, const Operand* a, const Operand* b, const void* scalar, const Mask& m);
void cast(const Operand& d, const Operand& s, int mode, const Mask& m);

template <typename T> Operand plain(const AscendC::LocalTensor<T>& t) { return {t, typeOf<T>(), 1, 8}; }
template <typename T, typename... U> constexpr bool oneOf = (std::is_same_v<T, U> || ...);
template <typename T> constexpr bool floats = oneOf<T, half, float>;
template <typename T> constexpr bool numbers = oneOf<T, half, float, int16_t, int32_t>;
template <typename T> constexpr bool integers = oneOf<T, int16_t, uint16_t, int32_t, uint32_t>;
} // namespace twin

namespace AscendC {
struct UnaryRepeatParams {
    UnaryRepeatParams() = default;
    UnaryRepeatParams(uint16_t d, uint16_t s, uint8_t dr, uint8_t sr) : dstBlkStride(d), srcBlkStride(s), dstRepStride(dr), srcRepStride(sr) {}
    uint16_t dstBlkStride = 1, srcBlkStride = 1;
    uint8_t dstRepStride = 8, srcRepStride = 8;
};
struct BinaryRepeatParams {
    BinaryRepeatParams() = default;
    BinaryRepeatParams(uint8_t d, uint8_t a, uint8_t b, uint8_t dr, uint8_t ar, uint8_t br) : dstBlkStride(d), src0BlkStride(a), src1BlkStride(b),
        dstRepStride(dr), src0RepStride(ar), src1RepStride(br) {}
    uint8_t dstBlkStride = 1, src0BlkStride = 1, src1BlkStride = 1, dstRepStride = 8, src0RepStride = 8, src1RepStride = 8;
};
struct CopyRepeatParams {
    CopyRepeatParams() = default;
    CopyRepeatParams(uint16_t d, uint16_t s, uint16_t dr, uint16_t sr) : dstStride(d), srcStride(s), dstRepeatSize(dr), srcRepeatSize(sr) {}
    uint16_t dstStride = 0, srcStride = 0, dstRepeatSize = 8, srcRepeatSize = 8;
};

#define TWIN_BINARY(NAME, TYPES, MIXED)                                                                                                                \
    template <typename T, typename U>                                                                                                                  \
    void twin##NAME(const LocalTensor<T>& d, const LocalTensor<U>& a, const LocalTensor<U>& b, const BinaryRepeatParams& p, const twin::Mask& m)       \
    {                                                                                                                                                  \
        static_assert(!std::is_same_v<T, bfloat16_t> && !std::is_same_v<U, bfloat16_t>, #NAME ": the vector unit does not calculate with bf16, Cast to float first"); \
        static_assert(twin::TYPES<U> && (std::is_same_v<T, U> || (MIXED && std::is_same_v<T, float> && std::is_same_v<U, half>)),                      \
            #NAME ": not for this type");                                                                                                              \
        twin::Operand x{a, twin::typeOf<U>(), p.src0BlkStride, p.src0RepStride}, y{b, twin::typeOf<U>(), p.src1BlkStride, p.src1RepStride};            \
        twin::vector(#NAME, twin::Op::NAME, {d, twin::typeOf<T>(), p.dstBlkStride, p.dstRepStride}, &x, &y, nullptr, m);                               \
    }                                                                                                                                                  \
    template <typename T, bool isSetMask = true, typename U>                                                                                           \
    void NAME(const LocalTensor<T>& d, const LocalTensor<U>& a, const LocalTensor<U>& b, uint64_t mask[], uint8_t repeat, const BinaryRepeatParams& p) \
    {                                                                                                                                                  \
        twin##NAME(d, a, b, p, twin::masked(#NAME, isSetMask, mask, repeat, sizeof(T)));                                                               \
    }                                                                                                                                                  \
    template <typename T, bool isSetMask = true, typename U>                                                                                           \
    void NAME(const LocalTensor<T>& d, const LocalTensor<U>& a, const LocalTensor<U>& b, uint64_t mask, uint8_t repeat, const BinaryRepeatParams& p)   \
    {                                                                                                                                                  \
        twin##NAME(d, a, b, p, twin::masked(#NAME, isSetMask, mask, repeat, sizeof(T)));                                                               \
    }                                                                                                                                                  \
    template <typename T, typename U> void NAME(const LocalTensor<T>& d, const LocalTensor<U>& a, const LocalTensor<U>& b, const int32_t& n)           \
    {                                                                                                                                                  \
        BinaryRepeatParams p;                                                                                                                          \
        if (sizeof(U) < sizeof(T)) p.src0RepStride = p.src1RepStride = 4;                                                                              \
        twin##NAME(d, a, b, p, twin::counted(#NAME, n));                                                                                               \
    }
TWIN_BINARY(Add, numbers, false)
TWIN_BINARY(Sub, numbers, false)
TWIN_BINARY(Mul, numbers, false)
TWIN_BINARY(Div, floats, false)
TWIN_BINARY(Max, numbers, false)
TWIN_BINARY(Min, numbers, false)
TWIN_BINARY(MulAddDst, floats, true)
TWIN_BINARY(FusedMulAdd, floats, false)
TWIN_BINARY(FusedMulAddRelu, floats, false)
TWIN_BINARY(AddRelu, numbers, false)
TWIN_BINARY(SubRelu, numbers, false)
} // namespace AscendC
namespace twin {
// In the vector unit And, Or and Not are of 16 bits; wider integers are worked on through ReinterpretCast<uint16_t>.
template <typename T> constexpr bool words = oneOf<T, int16_t, uint16_t>;
} // namespace twin
namespace AscendC {
TWIN_BINARY(And, words, false)
TWIN_BINARY(Or, words, false)
#undef TWIN_BINARY

#define TWIN_UNARY(NAME, TYPES)                                                                                                              \
    template <typename T> void twin##NAME(const LocalTensor<T>& d, const LocalTensor<T>& s, const UnaryRepeatParams& p, const twin::Mask& m) \
    {                                                                                                                                        \
        static_assert(twin::TYPES<T>, #NAME ": not for this type; bf16 must be Cast to float first");                                        \
        twin::Operand x{s, twin::typeOf<T>(), p.srcBlkStride, p.srcRepStride};                                                               \
        twin::vector(#NAME, twin::Op::NAME, {d, twin::typeOf<T>(), p.dstBlkStride, p.dstRepStride}, &x, nullptr, nullptr, m);                \
    }                                                                                                                                        \
    template <typename T, bool isSetMask = true>                                                                                             \
    void NAME(const LocalTensor<T>& d, const LocalTensor<T>& s, uint64_t mask[], uint8_t repeat, const UnaryRepeatParams& p)                 \
    {                                                                                                                                        \
        twin##NAME(d, s, p, twin::masked(#NAME, isSetMask, mask, repeat, sizeof(T)));                                                        \
    }                                                                                                                                        \
    template <typename T, bool isSetMask = true>                                                                                             \
    void NAME(const LocalTensor<T>& d, const LocalTensor<T>& s, uint64_t mask, uint8_t repeat, const UnaryRepeatParams& p)                   \
    {                                                                                                                                        \
        twin##NAME(d, s, p, twin::masked(#NAME, isSetMask, mask, repeat, sizeof(T)));                                                        \
    }                                                                                                                                        \
    template <typename T>                                                                                                                    \
    void NAME(const LocalTensor<T>& d, const LocalTensor<T>& s, const int32_t& n) { twin##NAME(d, s, UnaryRepeatParams(), twin::counted(#NAME, n)); }
TWIN_UNARY(Exp, floats)
TWIN_UNARY(Ln, floats)
TWIN_UNARY(Abs, floats)
TWIN_UNARY(Sqrt, floats)
TWIN_UNARY(Rsqrt, floats)
TWIN_UNARY(Reciprocal, floats)
TWIN_UNARY(Relu, numbers)
TWIN_UNARY(Not, words)
#undef TWIN_UNARY

// The scalar has the tensor's type exactly, as the real templates deduce it.
#define TWIN_SCALAR(NAME, TYPES)                                                                                                         \
    template <typename T>                                                                                                                \
    void twin##NAME(const LocalTensor<T>& d, const LocalTensor<T>& s, const T& v, const UnaryRepeatParams& p, const twin::Mask& m)       \
    {                                                                                                                                    \
        static_assert(twin::TYPES<T>, #NAME ": not for this type; bf16 must be Cast to float first");                                    \
        twin::Operand x{s, twin::typeOf<T>(), p.srcBlkStride, p.srcRepStride};                                                           \
        twin::vector(#NAME, twin::Op::NAME, {d, twin::typeOf<T>(), p.dstBlkStride, p.dstRepStride}, &x, nullptr, &v, m);                 \
    }                                                                                                                                    \
    template <typename T, bool isSetMask = true>                                                                                         \
    void NAME(const LocalTensor<T>& d, const LocalTensor<T>& s, const T& v, uint64_t mask[], uint8_t repeat, const UnaryRepeatParams& p) \
    {                                                                                                                                    \
        twin##NAME(d, s, v, p, twin::masked(#NAME, isSetMask, mask, repeat, sizeof(T)));                                                 \
    }                                                                                                                                    \
    template <typename T, bool isSetMask = true>                                                                                         \
    void NAME(const LocalTensor<T>& d, const LocalTensor<T>& s, const T& v, uint64_t mask, uint8_t repeat, const UnaryRepeatParams& p)   \
    {                                                                                                                                    \
        twin##NAME(d, s, v, p, twin::masked(#NAME, isSetMask, mask, repeat, sizeof(T)));                                                 \
    }                                                                                                                                    \
    template <typename T>                                                                                                                \
    void NAME(const LocalTensor<T>& d, const LocalTensor<T>& s, const T& v, const int32_t& n)                                            \
    {                                                                                                                                    \
        twin##NAME(d, s, v, UnaryRepeatParams(), twin::counted(#NAME, n));                                                               \
    }
TWIN_SCALAR(Adds, numbers)
TWIN_SCALAR(Muls, numbers)
TWIN_SCALAR(Maxs, numbers)
TWIN_SCALAR(Mins, numbers)
TWIN_SCALAR(LeakyRelu, floats)
TWIN_SCALAR(ShiftLeft, integers)
TWIN_SCALAR(ShiftRight, integers)
#undef TWIN_SCALAR

// d += s·v; s may be half where d is float.
template <typename T, typename U>
void twinAxpy(const LocalTensor<T>& d, const LocalTensor<U>& s, const U& v, const UnaryRepeatParams& p, const twin::Mask& m)
{
    static_assert(twin::floats<T> && twin::floats<U> && sizeof(T) >= sizeof(U), "Axpy: not for these types");
    twin::Operand x{s, twin::typeOf<U>(), p.srcBlkStride, p.srcRepStride};
    float f = float(v);
    twin::vector("Axpy", twin::Op::Axpy, {d, twin::typeOf<T>(), p.dstBlkStride, p.dstRepStride}, &x, nullptr, &f, m);
}
template <typename T, typename U, bool isSetMask = true>
void Axpy(const LocalTensor<T>& d, const LocalTensor<U>& s, const U& v, uint64_t mask[], uint8_t repeat, const UnaryRepeatParams& p)
{
    twinAxpy(d, s, v, p, twin::masked("Axpy", isSetMask, mask, repeat, sizeof(T)));
}
template <typename T, typename U, bool isSetMask = true>
void Axpy(const LocalTensor<T>& d, const LocalTensor<U>& s, const U& v, uint64_t mask, uint8_t repeat, const UnaryRepeatParams& p)
{
    twinAxpy(d, s, v, p, twin::masked("Axpy", isSetMask, mask, repeat, sizeof(T)));
}
template <typename T, typename U>
void Axpy(const LocalTensor<T>& d, const LocalTensor<U>& s, const U& v, const int32_t& n)
{
    twinAxpy(d, s, v, UnaryRepeatParams(1, 1, 8, sizeof(U) < sizeof(T) ? 4 : 8), twin::counted("Axpy", n));
}

template <typename T> void twinFill(const LocalTensor<T>& d, const T& v, int block, int repeat, const twin::Mask& m)
{
    static_assert(sizeof(T) == 2 || sizeof(T) == 4, "Duplicate: not for this type");
    twin::vector("Duplicate", twin::Op::Fill, {d, twin::typeOf<T>(), block, repeat}, nullptr, nullptr, &v, m);
}
template <typename T, bool isSetMask = true>
void Duplicate(const LocalTensor<T>& d, const T& v, uint64_t mask, uint8_t repeat, uint16_t block, uint8_t rep)
{
    twinFill(d, v, block, rep, twin::masked("Duplicate", isSetMask, mask, repeat, sizeof(T)));
}
template <typename T, bool isSetMask = true>
void Duplicate(const LocalTensor<T>& d, const T& v, uint64_t mask[], uint8_t repeat, uint16_t block, uint8_t rep)
{
    twinFill(d, v, block, rep, twin::masked("Duplicate", isSetMask, mask, repeat, sizeof(T)));
}
template <typename T> void Duplicate(const LocalTensor<T>& d, const T& v, const int32_t& n) { twinFill(d, v, 1, 8, twin::counted("Duplicate", n)); }

template <typename T> void twinCopy(const LocalTensor<T>& d, const LocalTensor<T>& s, const CopyRepeatParams& p, const twin::Mask& m)
{
    twin::Operand x{s, twin::typeOf<T>(), p.srcStride, p.srcRepeatSize};
    twin::vector("Copy", twin::Op::Copy, {d, twin::typeOf<T>(), p.dstStride, p.dstRepeatSize}, &x, nullptr, nullptr, m);
}
template <typename T, bool isSetMask = true>
void Copy(const LocalTensor<T>& d, const LocalTensor<T>& s, const uint64_t mask[], uint8_t repeat, const CopyRepeatParams& p)
{
    twinCopy(d, s, p, twin::masked("Copy", isSetMask, mask, repeat, sizeof(T)));
}
template <typename T, bool isSetMask = true>
void Copy(const LocalTensor<T>& d, const LocalTensor<T>& s, uint64_t mask, uint8_t repeat, const CopyRepeatParams& p)
{
    twinCopy(d, s, p, twin::masked("Copy", isSetMask, mask, repeat, sizeof(T)));
}

// Conversions of arch 2201, and the modes that each has.
template <typename D, typename S>
void twinCast(const LocalTensor<D>& d, const LocalTensor<S>& s, RoundMode mode, const UnaryRepeatParams& p, const twin::Mask& m)
{
    using namespace twin;
    constexpr bool f32 = std::is_same_v<S, float>, f16 = std::is_same_v<S, half>, b16 = std::is_same_v<S, bfloat16_t>, i32 = std::is_same_v<S,
        int32_t>, i16 = std::is_same_v<S, int16_t>, i64 = std::is_same_v<S, int64_t>, i8 = oneOf<S, int8_t, uint8_t>;
    constexpr bool rounded = (f32 && oneOf<D, float, bfloat16_t, int32_t, int16_t, int64_t>) || (f16 && oneOf<D, int32_t,
        int16_t>) || (b16 && oneOf<D, int32_t>) || (i64 && oneOf<D, float>); // a mode, not CAST_NONE
    constexpr bool any = (f32 && oneOf<D, half>) || (f16 && oneOf<D, int8_t, uint8_t>) || (i32 && oneOf<D, float>) || (i16 && oneOf<D, half>);
    constexpr bool exact = ((f16 || b16 || i16) && oneOf<D, float>) || (i32 && oneOf<D, int16_t, int64_t>) || (i64 && oneOf<D,
        int32_t>) || (i8 && oneOf<D, half>);
    static_assert(rounded || any || exact, "Cast: arch 2201 has no conversion between these types");
    if (rounded && (mode == RoundMode::CAST_NONE || mode == RoundMode::CAST_ODD)) fail("Cast: this conversion needs a rounding mode, CAST_RINT for one");
    if (exact && mode != RoundMode::CAST_NONE) fail("Cast: this conversion has CAST_NONE only");
    if (mode == RoundMode::CAST_ODD && !(f32 && oneOf<D, half>)) fail("Cast: CAST_ODD is for float to half");
    cast({d, typeOf<D>(), p.dstBlkStride, p.dstRepStride}, {s, typeOf<S>(), p.srcBlkStride, p.srcRepStride}, int(mode), m);
}
template <typename D, typename S> constexpr int twinWidth() { return sizeof(D) > sizeof(S) ? sizeof(D) : sizeof(S); }
template <typename D, typename S> void Cast(const LocalTensor<D>& d, const LocalTensor<S>& s, const RoundMode& mode, uint32_t n)
{
    constexpr int w = twinWidth<D, S>();
    twinCast(d, s, mode, UnaryRepeatParams(1, 1, 8 * sizeof(D) / w, 8 * sizeof(S) / w), twin::counted("Cast", n));
}
template <typename D, typename S, bool isSetMask = true>
void Cast(const LocalTensor<D>& d, const LocalTensor<S>& s, const RoundMode& mode, uint64_t mask, uint8_t repeat, const UnaryRepeatParams& p)
{
    twinCast(d, s, mode, p, twin::masked("Cast", isSetMask, mask, repeat, twinWidth<D, S>()));
}
template <typename D, typename S, bool isSetMask = true>
void Cast(const LocalTensor<D>& d, const LocalTensor<S>& s, const RoundMode& mode, const uint64_t mask[], uint8_t repeat, const UnaryRepeatParams& p)
{
    twinCast(d, s, mode, p, twin::masked("Cast", isSetMask, mask, repeat, twinWidth<D, S>()));
}
} // namespace AscendC
