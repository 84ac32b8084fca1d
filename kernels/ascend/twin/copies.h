// Copies between global memory and UB or L1, and within UB.
#pragma once
#include "vector.h"

namespace twin {
// Rows of len bytes; the gaps are from the end of a row to the begin of the next, in bytes.
struct Rows { uint32_t count, len; uint64_t from, to; };
void load(const char* op, const Tensor& d, const void* s, const Rows& r);
void store(const char* op, void* d, const Tensor& s, const Rows& r, Type t);
void move(const Tensor& d, const Tensor& s, const Rows& r); // UB to UB
void loadPadded(const Tensor& d, const void* s, const Rows& r, int size, bool pad, uint32_t left, uint32_t right, const void* value);
void storePadded(void* d, const Tensor& s, const Rows& r, Type t);
// Matrices of n x d elements as columns of 32 bytes (NZ).
struct Nd2Nz { uint32_t matrices, n, d, matrixStep, rowStep, columnStep, rowPitch, matrixPitch; };
void loadNz(const Tensor& d, const void* s, const Nd2Nz& p, int size);
} // namespace twin

namespace AscendC {
struct DataCopyParams { // in 32 bytes
    DataCopyParams() = default;
    DataCopyParams(uint16_t c, uint16_t l, uint16_t s, uint16_t d) : blockCount(c), blockLen(l), srcStride(s), dstStride(d) {}
    uint16_t blockCount = 1, blockLen = 0;
    union { uint16_t srcGap = 0; uint16_t srcStride; };
    union { uint16_t dstGap = 0; uint16_t dstStride; };
};
struct DataCopyExtParams { // in bytes, gaps in UB in 32 bytes
    DataCopyExtParams() = default;
    DataCopyExtParams(uint16_t c, uint32_t l, uint32_t s, uint32_t d, uint32_t r) : blockCount(c), blockLen(l), srcStride(s), dstStride(d), rsv(r) {}
    uint16_t blockCount = 1;
    uint32_t blockLen = 0, srcStride = 0, dstStride = 0, rsv = 0;
};
struct DataCopyPadParams {
    DataCopyPadParams() = default;
    DataCopyPadParams(bool p, uint8_t l, uint8_t r, uint64_t v) : isPad(p), leftPadding(l), rightPadding(r), paddingValue(v) {}
    bool isPad = false;
    uint8_t leftPadding = 0, rightPadding = 0;
    uint64_t paddingValue = 0;
};
template <typename T> struct DataCopyPadExtParams {
    DataCopyPadExtParams() = default;
    DataCopyPadExtParams(bool p, uint8_t l, uint8_t r, T v) : isPad(p), leftPadding(l), rightPadding(r), paddingValue(v) {}
    bool isPad = false;
    uint8_t leftPadding = 0, rightPadding = 0;
    T paddingValue = T(0);
};
struct Nd2NzParams {
    Nd2NzParams() = default;
    Nd2NzParams(uint16_t num, uint16_t n, uint16_t d, uint16_t srcMatrix, uint16_t srcD, uint16_t c0, uint16_t nStride,
        uint16_t dstMatrix) : ndNum(num), nValue(n), dValue(d), srcNdMatrixStride(srcMatrix), srcDValue(srcD), dstNzC0Stride(c0),
        dstNzNStride(nStride), dstNzMatrixStride(dstMatrix) {}
    uint16_t ndNum = 0, nValue = 0, dValue = 0, srcNdMatrixStride = 0, srcDValue = 0, dstNzC0Stride = 0, dstNzNStride = 0, dstNzMatrixStride = 0;
};

template <typename T> void DataCopy(const LocalTensor<T>& d, const GlobalTensor<T>& s, const DataCopyParams& p)
{
    twin::Rows r{p.blockCount, p.blockLen * 32u, p.srcStride * 32u, p.dstStride * 32u};
    if (r.count > 0) s.inside(s.GetPhyAddr(), (r.count - 1) * (r.len + r.from) + r.len, "DataCopy");
    twin::load("DataCopy", d, s.GetPhyAddr(), r);
}
template <typename T> void DataCopy(const GlobalTensor<T>& d, const LocalTensor<T>& s, const DataCopyParams& p)
{
    twin::Rows r{p.blockCount, p.blockLen * 32u, p.srcStride * 32u, p.dstStride * 32u};
    if (r.count > 0) d.inside(d.GetPhyAddr(), (r.count - 1) * (r.len + r.to) + r.len, "DataCopy");
    twin::store("DataCopy", d.GetPhyAddr(), s, r, twin::typeOf<T>());
}
template <typename T>
void DataCopy(const LocalTensor<T>& d, const LocalTensor<T>& s, const DataCopyParams& p)
{
    twin::move(d, s, {p.blockCount, p.blockLen * 32u, p.srcStride * 32u, p.dstStride * 32u});
}
template <typename T> twin::Rows twinWhole(uint32_t n)
{
    uint64_t bytes = uint64_t(n) * sizeof(T);
    if (bytes % 32 || bytes / 32 > 65535) twin::fail("DataCopy: %u elements are not 1 to 65535 whole 32 bytes", n);
    return {1, uint32_t(bytes), 0, 0};
}
template <typename T> void DataCopy(const LocalTensor<T>& d, const GlobalTensor<T>& s, uint32_t n)
{
    twin::Rows r = twinWhole<T>(n);
    s.inside(s.GetPhyAddr(), r.len, "DataCopy");
    twin::load("DataCopy", d, s.GetPhyAddr(), r);
}
template <typename T> void DataCopy(const GlobalTensor<T>& d, const LocalTensor<T>& s, uint32_t n)
{
    twin::Rows r = twinWhole<T>(n);
    d.inside(d.GetPhyAddr(), r.len, "DataCopy");
    twin::store("DataCopy", d.GetPhyAddr(), s, r, twin::typeOf<T>());
}
template <typename T> void DataCopy(const LocalTensor<T>& d, const LocalTensor<T>& s, uint32_t n) { twin::move(d, s, twinWhole<T>(n)); }
template <typename T> void DataCopy(const LocalTensor<T>& d, const GlobalTensor<T>& s, const Nd2NzParams& p)
{
    if (p.ndNum > 0 && p.nValue > 0) s.inside(s.GetPhyAddr(),
        (uint64_t(p.ndNum - 1) * p.srcNdMatrixStride + uint64_t(p.nValue - 1) * p.srcDValue + p.dValue) * sizeof(T), "DataCopy");
    twin::loadNz(d, s.GetPhyAddr(), {p.ndNum, p.nValue, p.dValue, p.srcNdMatrixStride, p.srcDValue, p.dstNzC0Stride, p.dstNzNStride,
        p.dstNzMatrixStride}, sizeof(T));
}

template <typename T>
void DataCopyPad(const LocalTensor<T>& d, const GlobalTensor<T>& s, const DataCopyExtParams& p, const DataCopyPadExtParams<T>& pad)
{
    if (p.blockCount > 0) s.inside(s.GetPhyAddr(), uint64_t(p.blockCount - 1) * (uint64_t(p.blockLen) + p.srcStride) + p.blockLen, "DataCopyPad");
    twin::loadPadded(d, s.GetPhyAddr(), {p.blockCount, p.blockLen, p.srcStride, uint64_t(p.dstStride) * 32}, sizeof(T), pad.isPad, pad.leftPadding,
        pad.rightPadding, &pad.paddingValue);
}
template <typename T> void DataCopyPad(const GlobalTensor<T>& d, const LocalTensor<T>& s, const DataCopyExtParams& p)
{
    if (p.blockCount > 0) d.inside(d.GetPhyAddr(), uint64_t(p.blockCount - 1) * (uint64_t(p.blockLen) + p.dstStride) + p.blockLen, "DataCopyPad");
    twin::storePadded(d.GetPhyAddr(), s, {p.blockCount, p.blockLen, uint64_t(p.srcStride) * 32, p.dstStride}, twin::typeOf<T>());
}
template <typename T> void DataCopyPad(const LocalTensor<T>& d, const GlobalTensor<T>& s, const DataCopyParams& p, const DataCopyPadParams& pad)
{
    T v;
    memcpy((void*)&v, &pad.paddingValue, sizeof v);
    DataCopyPad(d, s, DataCopyExtParams(p.blockCount, p.blockLen, p.srcStride, p.dstStride, 0), DataCopyPadExtParams<T>(pad.isPad, pad.leftPadding,
        pad.rightPadding, v));
}
template <typename T>
void DataCopyPad(const GlobalTensor<T>& d, const LocalTensor<T>& s, const DataCopyParams& p)
{
    DataCopyPad(d, s, DataCopyExtParams(p.blockCount, p.blockLen, p.srcStride, p.dstStride, 0));
}
} // namespace AscendC
