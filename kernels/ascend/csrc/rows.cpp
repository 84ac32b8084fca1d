// Rows by index, of any size in bytes: activations, embeddings, and vectors of one
// number a row.
#include "vector.h"

namespace {
using namespace vec;

constexpr uint32_t TILE = 64 * 1024; // bytes of a buffer; two are in use in turn
constexpr uint32_t ROWS = 1024;      // rows of a tile at most
static_assert(2 * TILE <= UB_BYTES, "rows fit UB");

// Slots are two buffers that the copies in and out use in turn: the copy into one
// waits for the copy out of it, through pipe FIRST, which writes a buffer first.
template <HardEvent DONE>
class Slots {
public:
    __aicore__ inline void Init(TPipe* pipe)
    {
        pipe_ = pipe;
        pipe->InitBuffer(buf_, 2 * TILE);
        for (auto& id : id_) id = pipe->template AllocEventID<DONE>(), SetFlag<DONE>(id);
    }
    __aicore__ inline LocalTensor<uint8_t> Take()
    {
        WaitFlag<DONE>(id_[at_]);
        return buf_.template Get<uint8_t>()[at_ * TILE];
    }
    __aicore__ inline void Give()
    {
        SetFlag<DONE>(id_[at_]);
        at_ ^= 1;
    }
    __aicore__ inline void End()
    {
        for (auto id : id_) WaitFlag<DONE>(id), pipe_->template ReleaseEventID<DONE>(id);
    }

private:
    TPipe* pipe_;
    TBuf<TPosition::VECCALC> buf_;
    TEventID id_[2];
    uint32_t at_ = 0;
};

// Rows in a buffer begin at multiples of 32 bytes.
struct Shape {
    uint32_t piece, pitch, rows; // bytes of a row taken at a time, between rows of a buffer; rows of a buffer
    __aicore__ inline Shape(uint32_t rowBytes) : piece(least(rowBytes, TILE)), pitch(up(piece, 32)), rows(least(TILE / pitch, ROWS)) {}
};

__aicore__ inline void in(const LocalTensor<uint8_t>& d, const GlobalTensor<uint8_t>& s, uint32_t rows, uint32_t bytes)
{
    DataCopyPad(d, s, DataCopyExtParams(rows, bytes, 0, 0, 0), DataCopyPadExtParams<uint8_t>());
}
__aicore__ inline void out(const GlobalTensor<uint8_t>& d, const LocalTensor<uint8_t>& s, uint32_t rows, uint32_t bytes)
{
    DataCopyPad(d, s, DataCopyExtParams(rows, bytes, 0, 0, 0));
}

// run is how many of idx[i..end) follow each other.
__aicore__ inline uint32_t run(const GlobalTensor<int32_t>& idx, uint64_t i, uint64_t end)
{
    uint32_t n = 1;
    for (int32_t first = idx.GetValue(i); i + n < end && idx.GetValue(i + n) == first + static_cast<int32_t>(n);) n++;
    return n;
}

// gather: y[i] = x[idx[i]]; rows that follow each other in x are one copy.
// Bytes: 2·rows·rowBytes + 4·rows.
__aicore__ inline void gather(GM_ADDR y, GM_ADDR x, GM_ADDR idx, uint64_t rows, uint64_t rowBytes, uint64_t xRows)
{
    Shape s(rowBytes);
    Range mine = share(rows, 1);
    TPipe pipe;
    Slots<HardEvent::MTE3_MTE2> slots;
    slots.Init(&pipe);
    GlobalTensor<uint8_t> gy = global<uint8_t>(y, rows * rowBytes), gx = global<uint8_t>(x, xRows * rowBytes);
    GlobalTensor<int32_t> gi = global<int32_t>(idx, rows);
    for (uint64_t r = mine.from; r < mine.to; r += s.rows) {
        uint64_t end = least(mine.to, r + s.rows);
        for (uint64_t b = 0; b < rowBytes; b += s.piece) {
            uint32_t bytes = least(s.piece, rowBytes - b);
            LocalTensor<uint8_t> t = slots.Take();
            for (uint64_t i = r; i < end;) {
                uint32_t n = run(gi, i, end);
                in(t[(i - r) * s.pitch], gx[gi.GetValue(i) * rowBytes + b], n, bytes);
                i += n;
            }
            order<HardEvent::MTE2_MTE3>();
            out(gy[r * rowBytes + b], t, end - r, bytes);
            slots.Give();
        }
    }
    slots.End();
}

// search is the first i of n with idx[i] >= row.
__aicore__ inline uint64_t search(const GlobalTensor<int32_t>& idx, uint64_t n, uint64_t row)
{
    uint64_t a = 0, b = n;
    while (a < b) {
        uint64_t m = (a + b) / 2;
        if (static_cast<uint64_t>(idx.GetValue(m)) < row) a = m + 1;
        else b = m;
    }
    return a;
}

// scatter: y[idx[i]] = d[i], the other rows zero; idx ascends strictly. A tile of y is
// cleared in UB and filled from d, so that y is written once.
// Bytes: (rows + n)·rowBytes + 4·n, and 4·log₂ n for each core.
__aicore__ inline void scatter(GM_ADDR y, GM_ADDR d, GM_ADDR idx, uint64_t n, uint64_t rows, uint64_t rowBytes)
{
    Shape s(rowBytes);
    Range mine = share(rows, 1);
    if (mine.from == mine.to) return;
    TPipe pipe;
    Slots<HardEvent::MTE3_V> slots;
    slots.Init(&pipe);
    GlobalTensor<uint8_t> gy = global<uint8_t>(y, rows * rowBytes), gd = global<uint8_t>(d, n * rowBytes);
    GlobalTensor<int32_t> gi = global<int32_t>(idx, n);
    uint64_t i = search(gi, n, mine.from);
    for (uint64_t r = mine.from; r < mine.to; r += s.rows) {
        uint64_t last = least(mine.to, r + s.rows), end = i;
        while (end < n && static_cast<uint64_t>(gi.GetValue(end)) < last) end++;
        for (uint64_t b = 0; b < rowBytes; b += s.piece) {
            uint32_t bytes = least(s.piece, rowBytes - b);
            LocalTensor<uint8_t> t = slots.Take();
            Duplicate<int32_t>(t.ReinterpretCast<int32_t>(), 0, (last - r) * s.pitch / 4);
            order<HardEvent::V_MTE2>();
            for (uint64_t k = i; k < end;) {
                uint32_t m = run(gi, k, end);
                in(t[(gi.GetValue(k) - r) * s.pitch], gd[k * rowBytes + b], m, bytes);
                k += m;
            }
            order<HardEvent::MTE2_MTE3>();
            out(gy[r * rowBytes + b], t, last - r, bytes);
            slots.Give();
        }
        i = end;
    }
    slots.End();
}
} // namespace

extern "C" __global__ __aicore__ void gather_rows(GM_ADDR y, GM_ADDR x, GM_ADDR idx, uint64_t rows, uint64_t rowBytes, uint64_t xRows)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    gather(y, x, idx, rows, rowBytes, xRows);
}

extern "C" __global__ __aicore__ void scatter_rows(GM_ADDR y, GM_ADDR d, GM_ADDR idx, uint64_t n, uint64_t rows, uint64_t rowBytes)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    scatter(y, d, idx, n, rows, rowBytes);
}
