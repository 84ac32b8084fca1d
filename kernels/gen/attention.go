package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// scaleMax512 works in place on a row and passes over what is no number, as
// the comparison of its twin does.
func scaleMax512() {
	name := "scaleMax512"
	TEXT(name, NOSPLIT|NOFRAME, "func(row *float32, n int, scale, low float32) float32")
	Pragma("noescape")
	Doc("scaleMax512 scales the row and returns its greatest element, at least low.")
	row, n, t := RDI, RCX, RAX
	Load(Param("row"), row)
	Load(Param("n"), n)
	Load(Param("scale"), X1)
	VBROADCASTSS(X1, Z1)
	Load(Param("low"), X2)
	VBROADCASTSS(X2, Z2)
	tail(name, n, t, func() {
		VMULPS_Z(Mem{Base: row}, Z1, K1, Z0)
		VMOVUPS(Z0, K1, Mem{Base: row})
		VMAXPS(Z2, Z0, K1, Z2)
		ADDQ(U32(64), row)
	})
	VEXTRACTF64X4(Imm(1), Z2, Y1)
	VMAXPS(Y1, Y2, Y2)
	VEXTRACTF128(Imm(1), Y2, X1)
	VMAXPS(X1, X2, X2)
	VPSHUFD(Imm(0x4e), X2, X1)
	VMAXPS(X1, X2, X2)
	VPSHUFD(Imm(0xb1), X2, X1)
	VMAXPS(X1, X2, X2)
	Store(X2, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// softmaxGrad512: p = exp(scale·p − lse), ds = p·(ds − delta)·scale.
func softmaxGrad512() {
	name := "softmaxGrad512"
	TEXT(name, NOSPLIT|NOFRAME, "func(p, ds *float32, n int, scale, lse, delta float32)")
	Pragma("noescape")
	Doc("softmaxGrad512 turns scores into probabilities and the gradients of those into the gradients of the scores.")
	p, ds, n, t := RDI, RSI, RCX, RAX
	expConsts()
	Load(Param("p"), p)
	Load(Param("ds"), ds)
	Load(Param("n"), n)
	for i, c := range []string{"scale", "lse", "delta"} {
		Load(Param(c), X0)
		VBROADCASTSS(X0, zs[4+i])
	}
	tail(name, n, t, func() {
		VMULPS_Z(Mem{Base: p}, Z4, K1, Z0)
		VSUBPS(Z5, Z0, Z0)
		exp(Z0, Z1, Z2)
		VMOVUPS(Z1, K1, Mem{Base: p})
		VMOVUPS_Z(Mem{Base: ds}, K1, Z0)
		VSUBPS(Z6, Z0, Z0)
		VMULPS(Z1, Z0, Z0)
		VMULPS(Z4, Z0, Z0)
		VMOVUPS(Z0, K1, Mem{Base: ds})
		ADDQ(U32(64), p)
		ADDQ(U32(64), ds)
	})
	VZEROUPPER()
	RET()
}
