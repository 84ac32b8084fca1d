// Tensors: views of global memory, and of buffers in a core.
#pragma once
#include "types.h"

namespace AscendC {
template <typename T> class GlobalTensor {
public:
    using PrimType = T;
    void SetGlobalBuffer(T* p) { p_ = p, n_ = 0, end_ = nullptr; }
    void SetGlobalBuffer(T* p, uint64_t n) { p_ = p, n_ = n, end_ = p + n; }
    GlobalTensor operator[](uint64_t i) const { GlobalTensor t = *this; t.p_ += i; return t; }
    T* GetPhyAddr() const { return p_; }
    T* GetPhyAddr(uint64_t i) const { return p_ + i; }
    uint64_t GetSize() const { return n_; }
    void SetL2CacheHint(CacheMode) {}
    template <CacheRwMode> void SetL2CacheHint(CacheMode) {}
    T GetValue(uint64_t i) const
    {
        inside(p_ + i, sizeof(T), "GetValue");
        twin::scalarRead(p_ + i, sizeof(T));
        T v;
        memcpy((void*)&v, (const void*)(p_ + i), sizeof v);
        return v;
    }
    void SetValue(uint64_t i, T v) const
    {
        inside(p_ + i, sizeof(T), "SetValue");
        twin::scalarWrite(p_ + i, sizeof(T));
        memcpy((void*)(p_ + i), (const void*)&v, sizeof v);
    }
    // inside checks a transfer against the extent that SetGlobalBuffer was told.
    void inside(const void* at, uint64_t bytes, const char* op) const
    {
        if (end_ && (const uint8_t*)at + bytes > (const uint8_t*)end_)
            twin::fail("%s: %llu bytes end %lld past the %llu elements of the GlobalTensor", op, (unsigned long long)bytes, (long long)((const uint8_t*)at + bytes - (const uint8_t*)end_), (unsigned long long)n_);
    }
    T* p_ = nullptr;

private:
    uint64_t n_ = 0;
    T* end_ = nullptr;
};

template <typename T> class LocalTensor : public twin::Tensor {
public:
    using PrimType = T;
    LocalTensor() = default;
    explicit LocalTensor(const twin::Tensor& t) : twin::Tensor(t) {}
    LocalTensor operator[](uint32_t i) const
    {
        if (uint64_t(i) * sizeof(T) > size) twin::fail("LocalTensor: element %u of %zu", i, size / sizeof(T));
        LocalTensor t = *this;
        t.at += i * sizeof(T), t.size -= i * sizeof(T);
        return t;
    }
    template <typename U> LocalTensor<U> ReinterpretCast() const { return LocalTensor<U>(static_cast<const twin::Tensor&>(*this)); }
    uint32_t GetSize() const { return size / sizeof(T); }
    void SetSize(uint32_t n) { twin::within(*this, uint64_t(n) * sizeof(T), "SetSize"); size = n * sizeof(T); }
    T GetValue(uint32_t i) const
    {
        twin::within(*this, (uint64_t(i) + 1) * sizeof(T), "GetValue");
        twin::touch(PIPE_S, *this, i * sizeof(T), sizeof(T), false, "GetValue");
        twin::step(PIPE_S);
        T v;
        memcpy((void*)&v, twin::bytes(*this) + i * sizeof(T), sizeof v);
        return v;
    }
    T operator()(uint32_t i) const { return GetValue(i); }
    void SetValue(uint32_t i, T v) const
    {
        twin::within(*this, (uint64_t(i) + 1) * sizeof(T), "SetValue");
        twin::touch(PIPE_S, *this, i * sizeof(T), sizeof(T), true, "SetValue");
        twin::step(PIPE_S);
        memcpy(twin::bytes(*this) + i * sizeof(T), (const void*)&v, sizeof v);
    }
};

template <typename T, CacheLine line, DcciDst dst>
void DataCacheCleanAndInvalid(const GlobalTensor<T>& t) { twin::cleanLines(t.GetPhyAddr(), line == CacheLine::ENTIRE_DATA_CACHE); }
template <typename T, CacheLine line>
void DataCacheCleanAndInvalid(const GlobalTensor<T>& t) { twin::cleanLines(t.GetPhyAddr(), line == CacheLine::ENTIRE_DATA_CACHE); }
} // namespace AscendC
