// Vector instructions across lanes: reductions, comparisons and choices, gathers, broadcasts.
#pragma once
#include "vector.h"

namespace twin {
enum class Fold : uint8_t { Sum, Max, Min };
enum class Span : uint8_t { Repeat, Block, Pair }; // what becomes one number
// step: how far results of consecutive repeats are apart, in results of a repeat. index: 0 value only, 1 value and index, 2 index and value, 3 index only.
void reduce(const char* op, Fold f, Span span, const Tensor& d, const Operand& s, int step, int index, const Mask& m);
void reduceAll(const char* op, Fold f, Type t, const Tensor& d, const Operand& s, const Tensor& tmp, bool index, const Mask& m);
void compare(const char* op, int mode, const Tensor& d, const Operand& a, const Operand* b, const void* scalar, const Mask& m);
void select(const Operand& d, const Tensor& bits, const Operand& a, const Operand* b, const void* scalar, const Mask& m);
void gather(const Operand& d, const Tensor& s, const Tensor& offsets, uint32_t base, const Mask& m);
uint64_t gatherMask(Type t, const Tensor& d, const Operand& s, int pattern, const Tensor* bits, int bitsStep, bool counts, uint32_t lanes,
    int repeat);
void brcb(Type t, const Tensor& d, const Tensor& s, int repeat, int block, int rep);
void createIndex(const Operand& d, const void* first, const Mask& m);
} // namespace twin

namespace AscendC {
struct BrcbRepeatParams {
    BrcbRepeatParams() = default;
    BrcbRepeatParams(uint16_t d, uint16_t r) : dstRepStride(r), dstBlkStride(d) {}
    uint16_t dstRepStride = 8, dstBlkStride = 1;
};
struct GatherMaskParams {
    GatherMaskParams() = default;
    GatherMaskParams(uint8_t b, uint16_t n, uint16_t r0, uint8_t r1) : src0BlockStride(b), repeatTimes(n), src0RepeatStride(r0),
        src1RepeatStride(r1) {}
    uint8_t src0BlockStride = 1;
    uint16_t repeatTimes = 0, src0RepeatStride = 8;
    uint8_t src1RepeatStride = 8;
};

#define TWIN_WHOLE(NAME, FOLD, ORDER, INDEX)                                                                                                        \
    template <typename T, bool isSetMask = true>                                                                                                    \
    void NAME(const LocalTensor<T>& d, const LocalTensor<T>& s, int32_t mask, int32_t repeat, int32_t dstRep, int32_t srcBlk, int32_t srcRep ORDER) \
    {                                                                                                                                               \
        static_assert(twin::floats<T>, #NAME ": half and float only");                                                                              \
        twin::reduce(#NAME, twin::Fold::FOLD, twin::Span::Repeat, d, {s, twin::typeOf<T>(), srcBlk, srcRep}, dstRep, INDEX, twin::masked(#NAME,     \
            isSetMask, uint64_t(int64_t(mask)), repeat, sizeof(T)));                                                                                \
    }                                                                                                                                               \
    template <typename T, bool isSetMask = true>                                                                                                    \
    void NAME(const LocalTensor<T>& d, const LocalTensor<T>& s, const uint64_t mask[], int32_t repeat, int32_t dstRep, int32_t srcBlk,              \
        int32_t srcRep ORDER)                                                                                                                       \
    {                                                                                                                                               \
        static_assert(twin::floats<T>, #NAME ": half and float only");                                                                              \
        twin::reduce(#NAME, twin::Fold::FOLD, twin::Span::Repeat, d, {s, twin::typeOf<T>(), srcBlk, srcRep}, dstRep, INDEX, twin::masked(#NAME,     \
            isSetMask, mask, repeat, sizeof(T)));                                                                                                   \
    }
#define TWIN_ORDER , ReduceOrder order = ReduceOrder::ORDER_VALUE_INDEX
inline int twinIndex(ReduceOrder o) 
{
    return o == ReduceOrder::ORDER_ONLY_VALUE ? 0 : o == ReduceOrder::ORDER_VALUE_INDEX ? 1 : o == ReduceOrder::ORDER_INDEX_VALUE ? 2 : 3;
}
TWIN_WHOLE(WholeReduceSum, Sum, , 0)
TWIN_WHOLE(WholeReduceMax, Max, TWIN_ORDER, twinIndex(order))
TWIN_WHOLE(WholeReduceMin, Min, TWIN_ORDER, twinIndex(order))
#undef TWIN_WHOLE
#undef TWIN_ORDER

#define TWIN_PART(NAME, FOLD, SPAN)                                                                                                                    \
    template <typename T, bool isSetMask = true>                                                                                                       \
    void NAME(const LocalTensor<T>& d, const LocalTensor<T>& s, int32_t repeat, int32_t mask, int32_t dstRep, int32_t srcBlk, int32_t srcRep)          \
    {                                                                                                                                                  \
        static_assert(twin::floats<T>, #NAME ": half and float only");                                                                                 \
        twin::reduce(#NAME, twin::Fold::FOLD, twin::Span::SPAN, d, {s, twin::typeOf<T>(), srcBlk, srcRep}, dstRep, 0, twin::masked(#NAME, isSetMask,   \
            uint64_t(int64_t(mask)), repeat, sizeof(T)));                                                                                              \
    }                                                                                                                                                  \
    template <typename T, bool isSetMask = true>                                                                                                       \
    void NAME(const LocalTensor<T>& d, const LocalTensor<T>& s, int32_t repeat, const uint64_t mask[], int32_t dstRep, int32_t srcBlk, int32_t srcRep) \
    {                                                                                                                                                  \
        static_assert(twin::floats<T>, #NAME ": half and float only");                                                                                 \
        twin::reduce(#NAME, twin::Fold::FOLD, twin::Span::SPAN, d, {s, twin::typeOf<T>(), srcBlk, srcRep}, dstRep, 0, twin::masked(#NAME, isSetMask,   \
            mask, repeat, sizeof(T)));                                                                                                                 \
    }
TWIN_PART(BlockReduceSum, Sum, Block)
TWIN_PART(BlockReduceMax, Max, Block)
TWIN_PART(BlockReduceMin, Min, Block)
TWIN_PART(PairReduceSum, Sum, Pair)
#undef TWIN_PART

template <typename T, bool isSetMask = true> void ReduceSum(const LocalTensor<T>& d, const LocalTensor<T>& s, const LocalTensor<T>& tmp, int32_t n)
{
    static_assert(twin::floats<T>, "ReduceSum: half and float only");
    twin::reduceAll("ReduceSum", twin::Fold::Sum, twin::typeOf<T>(), d, twin::plain(s), tmp, false, twin::counted("ReduceSum", n));
}
template <typename T>
void ReduceSum(const LocalTensor<T>& d, const LocalTensor<T>& s, const LocalTensor<T>& tmp, int32_t mask, int32_t repeat, int32_t srcRep)
{
    static_assert(twin::floats<T>, "ReduceSum: half and float only");
    twin::reduceAll("ReduceSum", twin::Fold::Sum, twin::typeOf<T>(), d, {s, twin::typeOf<T>(), 1, srcRep}, tmp, false, twin::masked("ReduceSum", true,
        uint64_t(int64_t(mask)), repeat, sizeof(T)));
}
template <typename T> void ReduceMax(const LocalTensor<T>& d, const LocalTensor<T>& s, const LocalTensor<T>& tmp, int32_t n, bool index = false)
{
    static_assert(twin::floats<T>, "ReduceMax: half and float only");
    twin::reduceAll("ReduceMax", twin::Fold::Max, twin::typeOf<T>(), d, twin::plain(s), tmp, index, twin::counted("ReduceMax", n));
}
template <typename T> void ReduceMin(const LocalTensor<T>& d, const LocalTensor<T>& s, const LocalTensor<T>& tmp, int32_t n, bool index = false)
{
    static_assert(twin::floats<T>, "ReduceMin: half and float only");
    twin::reduceAll("ReduceMin", twin::Fold::Min, twin::typeOf<T>(), d, twin::plain(s), tmp, index, twin::counted("ReduceMin", n));
}

// Comparisons give a bit for each element.
template <typename T, typename U> void twinCompare(const LocalTensor<U>&, const LocalTensor<T>&, CMPMODE mode)
{
    static_assert(sizeof(U) == 1, "Compare: the result is of uint8_t or int8_t");
    static_assert(twin::floats<T> || std::is_same_v<T, int32_t>, "Compare: half, float and int32_t only");
    if (std::is_same_v<T, int32_t> && mode != CMPMODE::EQ) twin::fail("Compare: int32_t has EQ only");
}
template <typename T, typename U> void Compare(const LocalTensor<U>& d, const LocalTensor<T>& a, const LocalTensor<T>& b, CMPMODE mode, uint32_t n)
{
    twinCompare(d, a, mode);
    if (n * sizeof(T) % 256) twin::fail("Compare: %u elements are not whole 256 bytes", n);
    twin::Operand y = twin::plain(b);
    twin::compare("Compare", int(mode), d, twin::plain(a), &y, nullptr, twin::counted("Compare", n));
}
template <typename T, typename U, bool isSetMask = true>
void Compare(const LocalTensor<U>& d, const LocalTensor<T>& a, const LocalTensor<T>& b, CMPMODE mode, uint64_t mask, uint8_t repeat,
    const BinaryRepeatParams& p)
{
    twinCompare(d, a, mode);
    twin::Operand y{b, twin::typeOf<T>(), p.src1BlkStride, p.src1RepStride};
    twin::compare("Compare", int(mode), d, {a, twin::typeOf<T>(), p.src0BlkStride, p.src0RepStride}, &y, nullptr, twin::masked("Compare", isSetMask,
        mask, repeat, sizeof(T)));
}
template <typename T, typename U> void CompareScalar(const LocalTensor<U>& d, const LocalTensor<T>& a, const T v, CMPMODE mode, uint32_t n)
{
    twinCompare(d, a, mode);
    if (n * sizeof(T) % 256) twin::fail("CompareScalar: %u elements are not whole 256 bytes", n);
    twin::compare("CompareScalar", int(mode), d, twin::plain(a), nullptr, &v, twin::counted("CompareScalar", n));
}
template <typename T, typename U, bool isSetMask = true>
void CompareScalar(const LocalTensor<U>& d, const LocalTensor<T>& a, const T v, CMPMODE mode, uint64_t mask, uint8_t repeat,
    const UnaryRepeatParams& p)
{
    twinCompare(d, a, mode);
    twin::compare("CompareScalar", int(mode), d, {a, twin::typeOf<T>(), p.srcBlkStride, p.srcRepStride}, nullptr, &v, twin::masked("CompareScalar",
        isSetMask, mask, repeat, sizeof(T)));
}
template <typename T, typename U>
void Compares(const LocalTensor<U>& d, const LocalTensor<T>& a, const T v, CMPMODE mode, uint32_t n) { CompareScalar(d, a, v, mode, n); }

// dst = bit ? src0 : src1. The mode that takes the bits of the compare register is not known to the twin.
inline void twinMode(SELMODE mode, SELMODE want) { if (mode != want) twin::fail("Select: the mode does not fit the operands"); }
template <typename T, typename U>
void Select(const LocalTensor<T>& d, const LocalTensor<U>& bits, const LocalTensor<T>& a, const LocalTensor<T>& b, SELMODE mode, uint32_t n)
{
    static_assert(twin::floats<T>, "Select: half and float only");
    twinMode(mode, SELMODE::VSEL_TENSOR_TENSOR_MODE);
    twin::Operand y = twin::plain(b);
    twin::select(twin::plain(d), bits, twin::plain(a), &y, nullptr, twin::counted("Select", n));
}
template <typename T, typename U>
void Select(const LocalTensor<T>& d, const LocalTensor<U>& bits, const LocalTensor<T>& a, T v, SELMODE mode, uint32_t n)
{
    static_assert(twin::floats<T>, "Select: half and float only");
    twinMode(mode, SELMODE::VSEL_TENSOR_SCALAR_MODE);
    twin::select(twin::plain(d), bits, twin::plain(a), nullptr, &v, twin::counted("Select", n));
}
template <typename T, typename U, bool isSetMask = true>
void Select(const LocalTensor<T>& d, const LocalTensor<U>& bits, const LocalTensor<T>& a, const LocalTensor<T>& b, SELMODE mode, uint64_t mask,
    uint8_t repeat, const BinaryRepeatParams& p)
{
    static_assert(twin::floats<T>, "Select: half and float only");
    twinMode(mode, SELMODE::VSEL_TENSOR_TENSOR_MODE);
    twin::Operand y{b, twin::typeOf<T>(), p.src1BlkStride, p.src1RepStride};
    twin::select({d, twin::typeOf<T>(), p.dstBlkStride, p.dstRepStride}, bits, {a, twin::typeOf<T>(), p.src0BlkStride, p.src0RepStride}, &y, nullptr,
        twin::masked("Select", isSetMask, mask, repeat, sizeof(T)));
}
template <typename T, typename U, bool isSetMask = true>
void Select(const LocalTensor<T>& d, const LocalTensor<U>& bits, const LocalTensor<T>& a, T v, SELMODE mode, uint64_t mask, uint8_t repeat,
    const BinaryRepeatParams& p)
{
    static_assert(twin::floats<T>, "Select: half and float only");
    twinMode(mode, SELMODE::VSEL_TENSOR_SCALAR_MODE);
    twin::select({d, twin::typeOf<T>(), p.dstBlkStride, p.dstRepStride}, bits, {a, twin::typeOf<T>(), p.src0BlkStride, p.src0RepStride}, nullptr, &v,
        twin::masked("Select", isSetMask, mask, repeat, sizeof(T)));
}

// dst[i] = src at byte base + offsets[i].
template <typename T> void Gather(const LocalTensor<T>& d, const LocalTensor<T>& s, const LocalTensor<uint32_t>& offsets, uint32_t base, uint32_t n)
{
    static_assert(sizeof(T) == 2 || sizeof(T) == 4, "Gather: 16 or 32 bits");
    twin::gather(twin::plain(d), s, offsets, base, twin::counted("Gather", n));
}
template <typename T>
void Gather(const LocalTensor<T>& d, const LocalTensor<T>& s, const LocalTensor<uint32_t>& offsets, uint32_t base, uint64_t mask, uint8_t repeat,
    uint16_t dstRep)
{
    static_assert(sizeof(T) == 2 || sizeof(T) == 4, "Gather: 16 or 32 bits");
    twin::gather({d, twin::typeOf<T>(), 1, dstRep}, s, offsets, base, twin::masked("Gather", true, mask, repeat, sizeof(T)));
}
// The chosen elements one after the other. Pattern 1: even, 2: odd, 3 to 6: those of index 0 to 3 modulo 4, 7: all; or a bit each.
template <typename T>
void GatherMask(const LocalTensor<T>& d, const LocalTensor<T>& s, uint8_t pattern, bool reduceMode, uint32_t mask, const GatherMaskParams& p,
    uint64_t& kept)
{
    kept = twin::gatherMask(twin::typeOf<T>(), d, {s, twin::typeOf<T>(), p.src0BlockStride, p.src0RepeatStride}, pattern, nullptr, 0, reduceMode,
        mask, p.repeatTimes);
}
template <typename T, typename U>
void GatherMask(const LocalTensor<T>& d, const LocalTensor<T>& s, const LocalTensor<U>& pattern, bool reduceMode, uint32_t mask,
    const GatherMaskParams& p, uint64_t& kept)
{
    static_assert(sizeof(T) == sizeof(U), "GatherMask: the pattern is of unsigned integers as wide as the data");
    kept = twin::gatherMask(twin::typeOf<T>(), d, {s, twin::typeOf<T>(), p.src0BlockStride, p.src0RepeatStride}, 0, &pattern, p.src1RepeatStride,
        reduceMode, mask, p.repeatTimes);
}
// Each repeat takes 8 numbers and fills 8 blocks with one each.
template <typename T> void Brcb(const LocalTensor<T>& d, const LocalTensor<T>& s, uint8_t repeat, const BrcbRepeatParams& p)
{
    static_assert(sizeof(T) == 2 || sizeof(T) == 4, "Brcb: 16 or 32 bits");
    twin::brcb(twin::typeOf<T>(), d, s, repeat, p.dstBlkStride, p.dstRepStride);
}
template <typename T> void CreateVecIndex(LocalTensor<T> d, const T& first, uint32_t n)
{
    static_assert(twin::numbers<T>, "CreateVecIndex: half, float, int16_t, int32_t only");
    twin::createIndex(twin::plain(d), &first, twin::counted("CreateVecIndex", n));
}
template <typename T> void CreateVecIndex(LocalTensor<T>& d, const T& first, uint64_t mask, uint8_t repeat, uint16_t block, uint8_t rep)
{
    static_assert(twin::numbers<T>, "CreateVecIndex: half, float, int16_t, int32_t only");
    twin::createIndex({d, twin::typeOf<T>(), block, rep}, &first, twin::masked("CreateVecIndex", true, mask, repeat, sizeof(T)));
}
} // namespace AscendC
