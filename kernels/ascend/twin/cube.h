// The cube: L1 to L0A and L0B, Mmad into L0C, Fixpipe to global memory.
#pragma once
#include "copies.h"

namespace twin {
struct Load2D { uint32_t start, repeat, step, gap; bool transpose; };
void load2D(const Tensor& d, const Tensor& s, const Load2D& p, int size);
void fillConst(const Tensor& d, uint32_t repeat, uint32_t blocks, uint32_t gap, uint32_t pattern); // pattern: 4 bytes
struct Product { uint32_t m, n, k; bool fresh; };
void mmad(const Tensor& c, const Tensor& a, const Tensor& b, const Product& p, Type t);
struct Drain { uint32_t n, m, step, row; int quant; uint32_t matrices, stepMatrix, rowMatrix; bool relu; };
void fixpipe(void* d, const Tensor& s, const Drain& p, Type t);
} // namespace twin

namespace AscendC {
struct LoadData2DParams {
    LoadData2DParams() = default;
    LoadData2DParams(uint16_t start, uint8_t repeat, uint16_t stride, uint8_t s, uint16_t gap, bool transpose, uint8_t mode) : startIndex(start),
        dstGap(gap), srcStride(stride), ifTranspose(transpose), repeatTimes(repeat), sid(s), addrMode(mode) {}
    uint16_t startIndex = 0, dstGap = 0, srcStride = 0;
    bool ifTranspose = false;
    uint8_t repeatTimes = 0, sid = 0, addrMode = 0;
};
using LoadData2dParams = LoadData2DParams;
template <typename T> struct InitConstValueParams {
    InitConstValueParams() = default;
    InitConstValueParams(uint16_t r, uint16_t b, uint16_t g, T v) : repeatTimes(r), blockNum(b), dstGap(g), initValue(v) {}
    InitConstValueParams(uint16_t r, T v) : repeatTimes(r), initValue(v) {}
    uint16_t repeatTimes = 0, blockNum = 0, dstGap = 0;
    T initValue = T(0);
};
struct MmadParams {
    MmadParams() = default;
    MmadParams(uint16_t mIn, uint16_t nIn, uint16_t kIn, uint8_t unit, bool source, bool init) : m(mIn), n(nIn), k(kIn), unitFlag(unit),
        cmatrixSource(source), cmatrixInitVal(init) {}
    uint16_t m = 0, n = 0, k = 0;
    bool isBias = false;
    int32_t fmOffset = 0;
    bool enSsparse = false, enWinogradA = false, enWinogradB = false;
    uint8_t unitFlag = 0;
    bool kDirectionAlign = false, cmatrixSource = false, cmatrixInitVal = true;
};
enum class CO2Layout : uint8_t { NZ, ROW_MAJOR, COLUMN_MAJOR };
struct FixpipeConfig { CO2Layout format; };
constexpr FixpipeConfig CFG_NZ = {CO2Layout::NZ}, CFG_ROW_MAJOR = {CO2Layout::ROW_MAJOR};
struct FixpipeParamsV220 {
    FixpipeParamsV220() = default;
    FixpipeParamsV220(uint16_t n, uint16_t m, uint16_t src, uint32_t dst, bool relu) : nSize(n), mSize(m), srcStride(src), dstStride(dst),
        reluEn(relu) {}
    FixpipeParamsV220(uint16_t n, uint16_t m, uint16_t src, uint32_t dst, bool relu, QuantMode_t q, int64_t deq, uint16_t num, uint16_t srcNd,
        uint16_t dstNd, uint8_t unit) : nSize(n), mSize(m), srcStride(src), dstStride(dst), quantPre(q), deqScalar(deq), ndNum(num),
        srcNdStride(srcNd), dstNdStride(dstNd), reluEn(relu), unitFlag(unit) {}
    uint16_t nSize = 0, mSize = 0, srcStride = 0;
    uint32_t dstStride = 0;
    QuantMode_t quantPre = QuantMode_t::NoQuant;
    uint64_t deqScalar = 0;
    uint16_t ndNum = 1, srcNdStride = 0, dstNdStride = 0;
    bool reluEn = false;
    uint8_t unitFlag = 0;
    bool isChannelSplit = false;
};

template <typename T> void LoadData(const LocalTensor<T>& d, const LocalTensor<T>& s, const LoadData2DParams& p)
{
    static_assert(sizeof(T) == 2 || sizeof(T) == 4, "LoadData: half, bfloat16_t, float only");
    if (p.ifTranspose && sizeof(T) != 2) twin::fail("LoadData: only blocks of 16-bit numbers are transposed");
    if (p.addrMode) twin::fail("LoadData: the twin knows addrMode 0 only");
    twin::load2D(d, s, {p.startIndex, p.repeatTimes, p.srcStride, p.dstGap, p.ifTranspose}, sizeof(T));
}
template <typename T> void Fill(const LocalTensor<T>& d, const InitConstValueParams<T>& p)
{
    uint32_t v = 0;
    for (size_t i = 0; i < 4; i += sizeof(T)) memcpy((uint8_t*)&v + i, (const void*)&p.initValue, sizeof(T));
    twin::fillConst(d, p.repeatTimes, p.blockNum, p.dstGap, v);
}
template <typename T> void InitConstValue(const LocalTensor<T>& d, const InitConstValueParams<T>& p) { Fill(d, p); }
template <typename T> void Mmad(const LocalTensor<float>& c, const LocalTensor<T>& a, const LocalTensor<T>& b, const MmadParams& p)
{
    static_assert(twin::oneOf<T, half, bfloat16_t, float>, "Mmad: half, bfloat16_t, float only");
    if (p.isBias || p.cmatrixSource || p.enSsparse || p.unitFlag) twin::fail("Mmad: the twin knows no bias, sparsity or unit flag");
    twin::mmad(c, a, b, {p.m, p.n, p.k, p.cmatrixInitVal}, twin::typeOf<T>());
}
template <typename T, typename U, const FixpipeConfig& config = CFG_ROW_MAJOR>
void Fixpipe(const GlobalTensor<T>& d, const LocalTensor<U>& s, const FixpipeParamsV220& p)
{
    static_assert(std::is_same_v<U, float> && twin::oneOf<T, float, half, bfloat16_t>, "Fixpipe: from float to float, half or bfloat16_t");
    static_assert(config.format == CO2Layout::ROW_MAJOR, "Fixpipe: the twin writes rows only");
    QuantMode_t want = std::is_same_v<T, float> ? NoQuant : std::is_same_v<T, half> ? F322F16 : F322BF16;
    if (p.quantPre != want) twin::fail("Fixpipe: quantPre %d does not fit the destination, which needs %d", int(p.quantPre), int(want));
    if (p.unitFlag || p.isChannelSplit) twin::fail("Fixpipe: the twin knows no unit flag or split of channels");
    if (p.ndNum > 0 && p.mSize > 0) d.inside(d.GetPhyAddr(),
        (uint64_t(p.ndNum - 1) * p.dstNdStride + uint64_t(p.mSize - 1) * p.dstStride + p.nSize) * sizeof(T), "Fixpipe");
    twin::fixpipe(d.GetPhyAddr(), s, {p.nSize, p.mSize, p.srcStride, p.dstStride, int(p.quantPre), p.ndNum, p.srcNdStride, p.dstNdStride, p.reluEn},
        twin::typeOf<T>());
}
} // namespace AscendC
