// The tile kernels for arm64: what gen/gemm.go is for amd64, written by hand
// with the preprocessor, as avo knows amd64 only.

#include "textflag.h"

// Registers: R0 terms left, R1 a, R2 lda, R3 b, R4 ldb, R5 c, R6 ldc, R7 acc,
// R8 a within a term. V0 to V23 sum four vectors a row, V24 to V27 hold a row
// of b, V28 one element of a on every lane.

#define ARGS \
	MOVD k+0(FP), R0 \
	MOVD a+8(FP), R1 \
	MOVD lda+16(FP), R2 \
	MOVD b+24(FP), R3 \
	MOVD ldb+32(FP), R4 \
	MOVD c+40(FP), R5 \
	MOVD ldc+48(FP), R6 \
	MOVD acc+56(FP), R7

#define ZERO(p, q, r, s) \
	VEOR p.B16, p.B16, p.B16 \
	VEOR q.B16, q.B16, q.B16 \
	VEOR r.B16, r.B16, r.B16 \
	VEOR s.B16, s.B16, s.B16

#define TERM \
	VLD1 (R3), [V24.S4, V25.S4, V26.S4, V27.S4] \
	MOVD R1, R8 \
	ADD R4, R3 \
	ADD R2, R1

// ROW multiplies one element of a with the row of b.
#define ROW(p, q, r, s) \
	VLD1R.P 4(R8), [V28.S4] \
	VFMLA V28.S4, V24.S4, p.S4 \
	VFMLA V28.S4, V25.S4, q.S4 \
	VFMLA V28.S4, V26.S4, r.S4 \
	VFMLA V28.S4, V27.S4, s.S4

// ONES puts 1 on every lane of V28, to add by multiplying: the same bits.
#define ONES \
	MOVW $0x3f800000, R8 \
	VDUP R8, V28.S4

#define ADDROW(p, q, r, s) \
	VLD1 (R5), [V24.S4, V25.S4, V26.S4, V27.S4] \
	VFMLA V28.S4, p.S4, V24.S4 \
	VFMLA V28.S4, q.S4, V25.S4 \
	VFMLA V28.S4, r.S4, V26.S4 \
	VFMLA V28.S4, s.S4, V27.S4 \
	VST1 [V24.S4, V25.S4, V26.S4, V27.S4], (R5) \
	ADD R6, R5

#define PUTROW(p, q, r, s) \
	VST1 [p.S4, q.S4, r.S4, s.S4], (R5) \
	ADD R6, R5

// func gemmNEONx1(k int, a *float32, lda int, b *float32, ldb int, c *float32, ldc int, acc uint64)
TEXT ·gemmNEONx1(SB), NOSPLIT|NOFRAME, $0-64
	ARGS
	ZERO(V0, V1, V2, V3)
	CBZ R0, done

loop:
	TERM
	ROW(V0, V1, V2, V3)
	SUB $1, R0
	CBNZ R0, loop

done:
	CBZ R7, store
	ONES
	ADDROW(V0, V1, V2, V3)
	RET

store:
	PUTROW(V0, V1, V2, V3)
	RET

// func gemmNEONx2(k int, a *float32, lda int, b *float32, ldb int, c *float32, ldc int, acc uint64)
TEXT ·gemmNEONx2(SB), NOSPLIT|NOFRAME, $0-64
	ARGS
	ZERO(V0, V1, V2, V3)
	ZERO(V4, V5, V6, V7)
	CBZ R0, done

loop:
	TERM
	ROW(V0, V1, V2, V3)
	ROW(V4, V5, V6, V7)
	SUB $1, R0
	CBNZ R0, loop

done:
	CBZ R7, store
	ONES
	ADDROW(V0, V1, V2, V3)
	ADDROW(V4, V5, V6, V7)
	RET

store:
	PUTROW(V0, V1, V2, V3)
	PUTROW(V4, V5, V6, V7)
	RET

// func gemmNEONx3(k int, a *float32, lda int, b *float32, ldb int, c *float32, ldc int, acc uint64)
TEXT ·gemmNEONx3(SB), NOSPLIT|NOFRAME, $0-64
	ARGS
	ZERO(V0, V1, V2, V3)
	ZERO(V4, V5, V6, V7)
	ZERO(V8, V9, V10, V11)
	CBZ R0, done

loop:
	TERM
	ROW(V0, V1, V2, V3)
	ROW(V4, V5, V6, V7)
	ROW(V8, V9, V10, V11)
	SUB $1, R0
	CBNZ R0, loop

done:
	CBZ R7, store
	ONES
	ADDROW(V0, V1, V2, V3)
	ADDROW(V4, V5, V6, V7)
	ADDROW(V8, V9, V10, V11)
	RET

store:
	PUTROW(V0, V1, V2, V3)
	PUTROW(V4, V5, V6, V7)
	PUTROW(V8, V9, V10, V11)
	RET

// func gemmNEONx4(k int, a *float32, lda int, b *float32, ldb int, c *float32, ldc int, acc uint64)
TEXT ·gemmNEONx4(SB), NOSPLIT|NOFRAME, $0-64
	ARGS
	ZERO(V0, V1, V2, V3)
	ZERO(V4, V5, V6, V7)
	ZERO(V8, V9, V10, V11)
	ZERO(V12, V13, V14, V15)
	CBZ R0, done

loop:
	TERM
	ROW(V0, V1, V2, V3)
	ROW(V4, V5, V6, V7)
	ROW(V8, V9, V10, V11)
	ROW(V12, V13, V14, V15)
	SUB $1, R0
	CBNZ R0, loop

done:
	CBZ R7, store
	ONES
	ADDROW(V0, V1, V2, V3)
	ADDROW(V4, V5, V6, V7)
	ADDROW(V8, V9, V10, V11)
	ADDROW(V12, V13, V14, V15)
	RET

store:
	PUTROW(V0, V1, V2, V3)
	PUTROW(V4, V5, V6, V7)
	PUTROW(V8, V9, V10, V11)
	PUTROW(V12, V13, V14, V15)
	RET

// func gemmNEONx5(k int, a *float32, lda int, b *float32, ldb int, c *float32, ldc int, acc uint64)
TEXT ·gemmNEONx5(SB), NOSPLIT|NOFRAME, $0-64
	ARGS
	ZERO(V0, V1, V2, V3)
	ZERO(V4, V5, V6, V7)
	ZERO(V8, V9, V10, V11)
	ZERO(V12, V13, V14, V15)
	ZERO(V16, V17, V18, V19)
	CBZ R0, done

loop:
	TERM
	ROW(V0, V1, V2, V3)
	ROW(V4, V5, V6, V7)
	ROW(V8, V9, V10, V11)
	ROW(V12, V13, V14, V15)
	ROW(V16, V17, V18, V19)
	SUB $1, R0
	CBNZ R0, loop

done:
	CBZ R7, store
	ONES
	ADDROW(V0, V1, V2, V3)
	ADDROW(V4, V5, V6, V7)
	ADDROW(V8, V9, V10, V11)
	ADDROW(V12, V13, V14, V15)
	ADDROW(V16, V17, V18, V19)
	RET

store:
	PUTROW(V0, V1, V2, V3)
	PUTROW(V4, V5, V6, V7)
	PUTROW(V8, V9, V10, V11)
	PUTROW(V12, V13, V14, V15)
	PUTROW(V16, V17, V18, V19)
	RET

// func gemmNEONx6(k int, a *float32, lda int, b *float32, ldb int, c *float32, ldc int, acc uint64)
TEXT ·gemmNEONx6(SB), NOSPLIT|NOFRAME, $0-64
	ARGS
	ZERO(V0, V1, V2, V3)
	ZERO(V4, V5, V6, V7)
	ZERO(V8, V9, V10, V11)
	ZERO(V12, V13, V14, V15)
	ZERO(V16, V17, V18, V19)
	ZERO(V20, V21, V22, V23)
	CBZ R0, done

loop:
	TERM
	ROW(V0, V1, V2, V3)
	ROW(V4, V5, V6, V7)
	ROW(V8, V9, V10, V11)
	ROW(V12, V13, V14, V15)
	ROW(V16, V17, V18, V19)
	ROW(V20, V21, V22, V23)
	SUB $1, R0
	CBNZ R0, loop

done:
	CBZ R7, store
	ONES
	ADDROW(V0, V1, V2, V3)
	ADDROW(V4, V5, V6, V7)
	ADDROW(V8, V9, V10, V11)
	ADDROW(V12, V13, V14, V15)
	ADDROW(V16, V17, V18, V19)
	ADDROW(V20, V21, V22, V23)
	RET

store:
	PUTROW(V0, V1, V2, V3)
	PUTROW(V4, V5, V6, V7)
	PUTROW(V8, V9, V10, V11)
	PUTROW(V12, V13, V14, V15)
	PUTROW(V16, V17, V18, V19)
	PUTROW(V20, V21, V22, V23)
	RET
