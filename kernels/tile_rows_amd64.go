package kernels

type rowsFunc = func(k int, a *float32, lda int, b, c *float32, ldc, tiles int, mask, acc uint64, ahead *byte, step int)

var rows512 = [15]rowsFunc{nil, rows512x1, rows512x2, rows512x3, rows512x4, rows512x5, rows512x6, rows512x7,
	rows512x8, rows512x9, rows512x10, rows512x11, rows512x12, rows512x13, rows512x14}

// The same for 16 columns of a panel of 32, or fewer.
var rowsHalf512 = [15]rowsFunc{nil, rows512x1half, rows512x2half, rows512x3half, rows512x4half, rows512x5half, rows512x6half, rows512x7half,
	rows512x8half, rows512x9half, rows512x10half, rows512x11half, rows512x12half, rows512x13half, rows512x14half}

var rows256 = [7]rowsFunc{nil, rows256x1, rows256x2, rows256x3, rows256x4, rows256x5, rows256x6}
