package main

// packT transposes up to 8 rows, eight columns at a time, as f32.
func packT(dtype string) {
	begin("PackT8"+dtype, "blocks, rows int, src *byte, stride int, dst *float32, ldd int", "")
	loads("blocks", "rows", "src", "stride", "dst", "ldd")
	g("CBZ R0, done")
	loop("block", 0, 1, func() {
		for r := range 16 {
			zero(r)
		}
		g("MOVD R2, R6")
		for r := range 8 {
			g("CMP $%d, R1", r)
			g("BLE loaded")
			eight(dtype, 2*r, 16, 6, 0)
			g("ADD R3, R6")
		}
		label("loaded")
		for h := range 2 { // the first four columns, then the others
			for q := range 2 { // of four rows each
				a, to := 8*q+h, 20+4*q
				op("trn1", 16, a, a+2)
				op("trn2", 17, a, a+2)
				op("trn1", 18, a+4, a+6)
				op("trn2", 19, a+4, a+6)
				lanes("trn1", "2d", to, 16, 18)
				lanes("trn1", "2d", to+1, 17, 19)
				lanes("trn2", "2d", to+2, 16, 18)
				lanes("trn2", "2d", to+3, 17, 19)
			}
			for j := range 4 {
				v("stp q%d, q%d, [x4]", 20+j, 24+j)
				g("ADD R5, R4")
			}
		}
		g("ADD $%d, R2", 8*sizeOf(dtype))
	})
	label("done")
	ret()
}

// packN copies 16 columns of k rows as f32.
func packN(dtype string) {
	begin("PackN8"+dtype, "k int, src *byte, stride int, dst *float32", "")
	loads("k", "src", "stride", "dst")
	g("CBZ R0, done")
	loop("loop", 0, 1, func() {
		g("MOVD R1, R4")
		eight(dtype, 0, 4, 4, 8*sizeOf(dtype))
		eight(dtype, 2, 5, 4, 0)
		storePair(0, 3)
		storePair(2, 3)
		g("ADD R2, R1")
	})
	label("done")
	ret()
}

func sizeOf(dtype string) int {
	if dtype == "F32" {
		return 4
	}
	return 2
}
