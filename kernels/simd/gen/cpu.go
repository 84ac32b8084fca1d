package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/reg"
)

func cpuid() {
	TEXT("cpuid", NOSPLIT|NOFRAME, "func(leaf, sub uint32) (a, b, c, d uint32)")
	describe("cpuid runs the instruction of that name.")
	Load(Param("leaf"), EAX)
	Load(Param("sub"), ECX)
	CPUID()
	Store(EAX, Return("a"))
	Store(EBX, Return("b"))
	Store(ECX, Return("c"))
	Store(EDX, Return("d"))
	RET()
	TEXT("xgetbv", NOSPLIT|NOFRAME, "func() uint32")
	describe("xgetbv returns which register states the system saves.")
	XORL(ECX, ECX)
	XGETBV()
	Store(EAX, ReturnIndex(0))
	RET()
}

func pause() {
	TEXT("Pause", NOSPLIT|NOFRAME, "func()")
	describe("Pause runs eight PAUSE instructions: a short wait that does not give up the processor.")
	for i := 0; i < 8; i++ {
		PAUSE()
	}
	RET()
}
