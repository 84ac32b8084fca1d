// Masks, repeats, counts and modes, and the kind of core.
#include "common.h"

KERNEL(empty_mask) { VEC uint64_t m[2] = {0, 0}; Duplicate(v.tmp.Get<float>(), 1.0f, m, 1, 1, 8); }
KERNEL(wide_mask) { VEC Duplicate(v.tmp.Get<float>(), 1.0f, uint64_t(65), 1, 1, 8); }
KERNEL(wide_half_mask) { VEC Duplicate(v.tmp.Get<half>(), half(1.0f), uint64_t(129), 1, 1, 8); }
KERNEL(mask_past_64) { VEC uint64_t m[2] = {1, 1}; Duplicate(v.tmp.Get<float>(), 1.0f, m, 1, 1, 8); }
KERNEL(many_repeats) { VEC auto a = v.load(); WholeReduceSum<float>(v.tmp.Get<float>(), a, 64, 256, 1, 1, 0); v.keep(a); }
KERNEL(mask_while_counting) { VEC auto a = v.load(); SetMaskCount(); Adds(v.tmp.Get<float>(), a, 1.0f, uint64_t(64), 1, UnaryRepeatParams()); SetMaskNorm(); v.keep(a); }
KERNEL(minus_one) { VEC Duplicate(v.tmp.Get<float>(), 1.0f, int32_t(n) - 4097); }
KERNEL(odd_copy) { VEC auto a = v.in.AllocTensor<float>(); DataCopy(a, v.x, 7); v.in.FreeTensor(a); }
KERNEL(no_blocks) { VEC auto a = v.in.AllocTensor<float>(); DataCopy(a, v.x, DataCopyParams(0, 1, 0, 0)); v.in.FreeTensor(a); }
KERNEL(many_blocks) { VEC auto a = v.in.AllocTensor<float>(); DataCopyPad(a, v.x, DataCopyExtParams(4096, 4, 0, 0, 0), DataCopyPadExtParams<float>()); v.in.FreeTensor(a); }
KERNEL(wide_padding) { VEC auto a = v.in.AllocTensor<float>(); DataCopyPad(a, v.x, DataCopyExtParams(1, 4, 0, 0, 0), DataCopyPadExtParams<float>(true, 9, 0, 0.0f)); v.in.FreeTensor(a); }
KERNEL(odd_compare) { VEC auto a = v.load(); CompareScalar(v.tmp.Get<uint8_t>(), a, 0.0f, CMPMODE::LT, 100); v.keep(a); }
KERNEL(compared_integers) { VEC auto a = v.load(); CompareScalar(v.tmp.Get<uint8_t>(), a.ReinterpretCast<int32_t>(), 0, CMPMODE::LT, 1024); v.keep(a); }
KERNEL(cast_without_mode) { VEC auto a = v.load(); Cast(v.tmp.Get<bfloat16_t>(), a, RoundMode::CAST_NONE, 1024); v.keep(a); }
KERNEL(cast_with_mode) { VEC auto a = v.load(); Cast(v.tmp.Get<float>(), a.ReinterpretCast<half>(), RoundMode::CAST_RINT, 1024); v.keep(a); }
KERNEL(odd_gather) { VEC auto a = v.load(); auto o = v.more.Get<int32_t>(); Duplicate(o, int32_t(2), 64); PipeBarrier<PIPE_V>(); Gather(v.tmp.Get<float>(), a, o.ReinterpretCast<uint32_t>(), 0, 64); v.keep(a); }

KERNEL(no_stride) { CUBE q.m = q.l1.AllocTensor<half>(); DataCopy(q.m, q.x, Nd2NzParams(1, 16, 16, 0, 16, 0, 1, 0)); q.l1.FreeTensor(q.m); }
KERNEL(no_repeats) { CUBE q.fetch(); q.l1.EnQue(q.m), q.m = q.l1.DeQue<half>(); q.a = q.l0a.AllocTensor<half>(); LoadData(q.a, q.m, LoadData2DParams(0, 0, 1, 0, 0, false, 0)); q.l1.FreeTensor(q.m), q.l0a.FreeTensor(q.a); }
KERNEL(large_product) { CUBE q.fetch(), q.split(); q.l0a.EnQue(q.a), q.l0b.EnQue(q.b), q.a = q.l0a.DeQue<half>(), q.b = q.l0b.DeQue<half>(); q.c = q.l0c.AllocTensor<float>(); Mmad(q.c, q.a, q.b, MmadParams(4096, 16, 16, 0, false, true)); q.free(); }
KERNEL(one_row_product) { CUBE q.fetch(), q.split(); q.l0a.EnQue(q.a), q.l0b.EnQue(q.b), q.a = q.l0a.DeQue<half>(), q.b = q.l0b.DeQue<half>(); q.c = q.l0c.AllocTensor<float>(); Mmad(q.c, q.a, q.b, MmadParams(1, 16, 16, 0, false, true)); q.free(); }
KERNEL(wrong_quant) { CUBE q.fetch(), q.split(), q.multiply(); q.l0c.EnQue(q.c), q.c = q.l0c.DeQue<float>(); Fixpipe(at<bfloat16_t>(y), q.c, q.rows(F322F16)); q.free(); }
KERNEL(missing_quant) { CUBE q.fetch(), q.split(), q.multiply(); q.l0c.EnQue(q.c), q.c = q.l0c.DeQue<float>(); Fixpipe(at<half>(y), q.c, q.rows()); q.free(); }
KERNEL(short_stride) { CUBE q.fetch(), q.split(), q.multiply(); q.l0c.EnQue(q.c), q.c = q.l0c.DeQue<float>(); FixpipeParamsV220 p = q.rows(); p.srcStride = 16; Fixpipe(q.y, q.c, p); q.free(); }

KERNEL(wrong_type) { KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIC_ONLY); }
KERNEL(mixed_type) { KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2); }
KERNEL(vector_on_cube) { CUBE TBuf<TPosition::VECCALC> t; q.pipe.InitBuffer(t, 4096); Duplicate(t.Get<float>(), 1.0f, 64); }
KERNEL(ub_on_cube) { CUBE TBuf<TPosition::VECCALC> t; q.pipe.InitBuffer(t, 4096); DataCopy(t.Get<half>(), q.x, 64); }
KERNEL(cube_on_vector)
{
    VEC TBuf<TPosition::A1> t;
    v.pipe.InitBuffer(t, 4096);
    DataCopy(t.Get<float>(), v.x, Nd2NzParams(1, 16, 16, 0, 16, 16, 1, 0));
}
KERNEL(l1_to_ub)
{
    CUBE TBuf<TPosition::VECCALC> t;
    q.pipe.InitBuffer(t, 4096);
    q.fetch();
    DataCopy(t.Get<half>(), q.m, 64);
    q.l1.FreeTensor(q.m);
}
KERNEL(product_of_ub)
{
    CUBE TBuf<TPosition::VECCALC> t;
    q.pipe.InitBuffer(t, 4096);
    q.fetch(), q.split();
    q.c = q.l0c.AllocTensor<float>();
    Mmad(q.c, t.Get<half>(), q.b, MmadParams(32, 32, 32, 0, false, true));
    q.free();
}
