package kernels

import (
	"unsafe"

	"lorac/kernels/simd"
)

// Products in eight bits: a frozen weight has one scale a row (output channel),
// w[j, i] = s[j]·q[j, i] with |q| ≤ 127; the other operand gets one a row when
// it is packed. Both scales are factored out of the sums, which are exact, over
// at most blockK8 terms:
//
//	x·wᵀ: y[t, j]  = sx[t]·s[j]·Σ_i qx[t, i]·q[j, i]
//	dy·w: dx[t, i] = sd[t]·Σ_j qd[t, j]·q[j, i],  qd, sd of dy[t, j]·s[j]
//
// One instruction (VPDPBUSD) multiplies four unsigned bytes with four signed
// ones: then 128 is added to qx, and 128·Σ q, which is known when the weight is
// packed, subtracted from the sum. Others take signed bytes (signed8).

const (
	blockK8 = 1024     // terms of a packed panel of B: 32 KiB
	groupN8 = 4        // panels of B a task packs at most
	rowsA8  = 14       // of a panel of A
	colsB8  = 32       // of a panel of B
	least8  = 0x1p-100 // a row below this counts as zero: the inverse of its scale would overflow

	groupFloats8 = groupN8 * blockK8 / 4 * colsB8
)

// int8Stride is the stride of rows of n bytes: whole groups of four.
func int8Stride(n int) int { return (n + 3) &^ 3 }

// Int8 is the weight in eight bits with a scale a row, in memory of its own,
// which lives as long as the process.
func (c *Context) Int8(w Weight) Weight {
	stride := int8Stride(w.Cols)
	out := Weight{Rows: w.Rows, Cols: w.Cols, DType: I8, scale: acquire(w.Rows)}
	if w.Rows == 0 || w.Cols == 0 {
		return out
	}
	bytes := acquire(w.Rows * stride / 4)
	out.ptr = unsafe.Pointer(&bytes[0])
	out.keep = unsafe.Slice((*byte)(out.ptr), 4*len(bytes))
	c.Parallel((w.Rows+rowBlock-1)/rowBlock, func(_, t int) {
		row := make([]float32, w.Cols)
		for i := t * rowBlock; i < min((t+1)*rowBlock, w.Rows); i++ {
			w.row(row, i, 0)
			out.scale[i] = toBytes(out.keep[i*stride:i*stride+w.Cols], row, nil, nil, 0)
		}
	})
	return out
}

// toBytes writes x as bytes, q = x/s rounded to the nearest, xor flip, and
// returns s, the largest absolute value divided by 127. x is multiplied by mul
// first, unless that is nil, and the products are written to buf. A row with an
// element that is not finite gets such a scale.
func toBytes(q []byte, x, mul, buf []float32, flip byte) float32 {
	top := maxAbs(x, mul, buf)
	if mul != nil {
		x = buf[:len(x)]
	}
	s, inverse := top/127, float32(0)
	if top < least8 {
		s = 0
	} else {
		inverse = 127 / top
	}
	roundBytes(q, x, inverse, flip)
	return s
}

// int8Of is the weight in eight bits a packer packs, nil for another.
func int8Of(p packer) (w *Weight, transposed bool) {
	switch p := p.(type) {
	case weightRows:
		if p.w.DType == I8 {
			return &p.w, false
		}
	case weightCols:
		if p.w.DType == I8 {
			return &p.w, true
		}
	}
	return nil, false
}

// multiplyInt8 computes the products of the rows of x with weights in eight
// bits, all rows or all columns of them.
func (c *Context) multiplyInt8(x Mat, outs ...product) {
	m, k := x.Rows, x.Cols
	if m == 0 {
		return
	}
	if k == 0 {
		for i := range outs {
			outs[i].start()
		}
		return
	}
	for i := range outs {
		if o := &outs[i]; o.bias != nil {
			o.start()
			o.bias, o.acc = nil, true
		}
	}
	for i, o := range outs {
		w, transposed := int8Of(o.b)
		var mul []float32
		if transposed {
			mul = w.scale[:k]
		} else if i > 0 {
			break // the others are multiplied with the same rows
		}
		share := outs[i:]
		if transposed {
			share = outs[i : i+1]
		}
		blocks := (m + blockM - 1) / blockM
		for b := range blocks {
			m0 := m * b / blocks
			a := c.packBytes(x, mul, m0, m*(b+1)/blocks-m0)
			tasks := c.int8Tasks(a.n, share)
			c.Parallel(len(tasks), func(worker, t int) {
				var next task
				if t+c.Threads() < len(tasks) {
					next = tasks[t+c.Threads()]
				}
				multiplyBytes(share, a, tasks[t], next, grow(&c.workers[worker].gemm, groupFloats8), m0)
			})
		}
	}
}

// int8Tasks splits the products of a block of rows into tasks: groups of panels
// of B, several for each thread, by all panels of A.
func (c *Context) int8Tasks(panels int, outs []product) []task {
	all := 0
	for _, o := range outs {
		all += (o.n + colsB8 - 1) / colsB8
	}
	group := min(groupN8, max(1, all/(4*c.Threads())))
	var tasks []task
	for i, o := range outs {
		np := (o.n + colsB8 - 1) / colsB8
		groups := (np + group - 1) / group
		for g := range groups {
			tasks = append(tasks, task{i, np * g / groups, np * (g + 1) / groups, 0, panels})
		}
	}
	return tasks
}

// bytesA is a block of rows in panels of [k/4][rows][4] bytes, each row with
// its scale.
type bytesA struct {
	panelsA
	scale []float32
}

// packBytes quantises rows [m0, m0+rows) of x, multiplied by mul, into panels.
func (c *Context) packBytes(x Mat, mul []float32, m0, rows int) *bytesA {
	k := x.Cols
	quads := (k + 3) / 4
	a := &bytesA{}
	a.k, a.n = quads, (rows+rowsA8-1)/rowsA8
	a.base = rows / a.n
	a.big = rows - a.base*a.n
	n := (rows*quads + 15) &^ 15
	buf := grow(&c.packedA, n+rows+32)
	a.data, a.scale = buf[:n], buf[n:n+rows]
	flip := flip8()
	c.Parallel(a.n, func(worker, p int) {
		r, first := a.rows(p), a.first(p)
		mem := grow(&c.workers[worker].gemm, max(groupFloats8, r*quads+k))
		bytes := unsafe.Slice((*byte)(unsafe.Pointer(&mem[0])), r*quads*4)
		for i := range r {
			row := bytes[i*quads*4 : (i+1)*quads*4]
			for j := k; j < len(row); j++ {
				row[j] = flip
			}
			a.scale[first+i] = toBytes(row[:k], x.Row(m0+first+i), mul, mem[r*quads:], flip)
		}
		transposeQuads(a.data[first*quads:], &mem[0], quads, r, quads, r)
	})
	return a
}

// transposeQuads writes rows of kc groups of four bytes, stride groups apart,
// as columns of a panel of w groups; missing rows are zero.
func transposeQuads(dst []float32, src *float32, stride, rows, kc, w int) {
	if has512 {
		transpose(F32, unsafe.Pointer(src), stride*4, dst, rows, kc, w)
		return
	}
	done := 0
	if has8 {
		done = transpose8(F32, unsafe.Pointer(src), stride*4, dst, rows, kc, w)
	}
	from := unsafe.Slice((*uint32)(unsafe.Pointer(src)), max(rows-1, 0)*stride+kc)
	to := unsafe.Slice((*uint32)(unsafe.Pointer(&dst[0])), kc*w)
	for k := done; k < kc; k++ {
		for r := range w {
			to[k*w+r] = 0
			if r < rows {
				to[k*w+r] = from[r*stride+k]
			}
		}
	}
}

// multiplyBytes does one task.
func multiplyBytes(outs []product, a *bytesA, ts, next task, bp []float32, m0 int) {
	o := &outs[ts.out]
	w, transposed := int8Of(o.b)
	terms := w.Cols
	if transposed {
		terms = w.Rows
	}
	blocks := (terms + blockK8 - 1) / blockK8
	step := int8Stride((terms + blocks - 1) / blocks)
	var bias [groupN8][colsB8]int32
	var scale [groupN8][colsB8]float32
	for p := ts.from; p < ts.to; p++ {
		s := &scale[p-ts.from]
		for j := range s {
			s[j] = 1
		}
		if !transposed {
			copy(s[:], w.scale[p*colsB8:min((p+1)*colsB8, o.n)])
		}
	}
	for k0 := 0; k0 < terms; k0 += step {
		kc := min(step, terms-k0)
		quads := (kc + 3) / 4
		for p := ts.from; p < ts.to; p++ {
			panel := bp[(p-ts.from)*quads*colsB8 : (p-ts.from+1)*quads*colsB8]
			packPanel8(panel, w, transposed, p*colsB8, min(colsB8, o.n-p*colsB8), k0, kc)
			bias8(quads, panel, &bias[p-ts.from])
		}
		var f prefetcher
		if k0+step < terms {
			f.region = ts.bytes8(w, transposed, o.n, k0+step, min(step, terms-k0-step))
		} else if next.to > 0 {
			nw, nt := int8Of(outs[next.out].b)
			f.region = next.bytes8(nw, nt, outs[next.out].n, 0, step)
		}
		for i := ts.first; i < ts.end; i++ {
			r := a.rows(i)
			rows := a.data[a.first(i)*a.k+k0/4*r:]
			at := (m0 + a.first(i)) * o.c.Stride
			for p := ts.from; p < ts.to; p++ {
				j := p - ts.from
				n := min(colsB8, o.n-p*colsB8)
				tile8(r, quads, rows, bp[j*quads*colsB8:], &bias[j], &scale[j], a.scale[a.first(i):], o.c.Data[at+p*colsB8:], o.c.Stride, n, o.acc || k0 > 0, f.hint(quads))
			}
		}
	}
}

// bytes8 is the memory packPanel8 will read for a task.
func (t *task) bytes8(w *Weight, transposed bool, n, k0, kc int) region {
	from, to := t.from*colsB8, min(t.to*colsB8, n)
	if transposed {
		return region{unsafe.Add(w.rowAt(k0), from), min(kc, w.Rows-k0), to - from, w.rowBytes()}
	}
	return region{unsafe.Add(w.rowAt(from), k0), to - from, min(kc, w.Cols-k0), w.rowBytes()}
}

// packPanel8 packs columns [at, at+n) of the product, terms [k0, k0+kc), as
// [kc/4][32][4] bytes; what is missing is zero.
func packPanel8(dst []float32, w *Weight, transposed bool, at, n, k0, kc int) {
	stride := w.rowBytes()
	if !transposed {
		transposeQuads(dst, (*float32)(unsafe.Add(w.rowAt(at), k0)), stride/4, n, (kc+3)/4, colsB8)
		return
	}
	done := 0
	if has8 && n == colsB8 && kc >= 4 {
		done = kc / 4
		simd.InterleaveBytes8(done, (*byte)(unsafe.Add(w.rowAt(k0), at)), stride, (*byte)(unsafe.Pointer(&dst[0])))
	}
	out := unsafe.Slice((*byte)(unsafe.Pointer(&dst[0])), (kc+3)/4*4*colsB8)
	for k := done * 4; k < len(out)/colsB8; k++ {
		var row []byte
		if k < kc {
			row = unsafe.Slice((*byte)(unsafe.Add(w.rowAt(k0+k), at)), n)
		}
		for j := range colsB8 {
			v := byte(0)
			if j < len(row) {
				v = row[j]
			}
			out[(k/4*colsB8+j)*4+k%4] = v
		}
	}
}
