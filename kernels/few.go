package kernels

import (
	"unsafe"

	"lorac/kernels/simd"
)

// Texts are generated an id at a time, so that x has a row for each text and the
// time is that of reading the weights. Such products read each row of a weight
// once, straight from its stored type, and multiply it with all rows of x; nothing
// is packed. Weights of fewer than eight bits are multiplied as integers with x
// rounded to 16 bits, an error of about 2^-16 of the largest of 32 numbers. A result depends neither
// on the number of rows nor on that of threads.

const (
	mostFew   = 32       // rows of x at most
	fewChunk  = 32 << 10 // bytes of a weight in the smallest tasks, about
	fewSums   = 4096     // results of a task at most
	fewStep   = 16       // elements of a step where they are stored one by one
	fewHalves = 128      // bytes of 32 numbers of x rounded to 16 bits
)

// Few has products of at most 32 rows of x, of the forward and without dropout, read
// the weight once from its stored type. Their sums run in another order than those
// of many rows.
func (c *Context) Few(on bool) { c.few = on }

// fewPart is y (+)= x·wᵀ + bias + scale·xa·bᵀ; xa.Empty() means there is no update.
type fewPart struct {
	y     Mat
	w     Weight
	bias  Vec // or nil
	acc   bool
	xa    Mat
	b     Weight
	scale float32
}

// takesFew reports whether products with x are computed so.
func (c *Context) takesFew(x Mat, parts ...fewPart) bool {
	if !c.few || x.Rows == 0 || x.Rows > mostFew || x.Cols == 0 {
		return false
	}
	for _, p := range parts {
		if p.w.DType == I8 || p.w.read != nil {
			return false
		}
	}
	return true
}

// fewAdapted is LoRALinear for few rows; false where it computed nothing.
func (c *Context) fewAdapted(x Mat, parts []Adapted) bool {
	if !c.few { // training pays nothing for it
		return false
	}
	var down, all []fewPart
	for _, p := range parts {
		check(x.Cols == p.W.Cols && p.Y.Rows == x.Rows && p.Y.Cols == p.W.Rows, "lora linear", p.Y, x, p.W)
		part := fewPart{y: p.Y, w: p.W, bias: p.Bias}
		if !p.A.Empty() {
			if m := p.Drop.mask(); m.on() {
				return false
			}
			down = append(down, fewPart{y: p.XA, w: p.A.Weight()})
			part.xa, part.b, part.scale = p.XA, p.B.Weight(), p.Scale
		}
		all = append(all, part)
	}
	if !c.takesFew(x, all...) {
		return false
	}
	if len(down) > 0 {
		c.multiplyFew(x, down...)
	}
	c.multiplyFew(x, all...)
	return true
}

// multiplyFew computes the parts.
func (c *Context) multiplyFew(x Mat, parts ...fewPart) {
	f := fewX{Mat: x}
	f.round(c, parts)
	tasks := fewTasks(c.fewTasks[:0], parts, x.Rows, c.Threads())
	c.fewTasks = tasks
	c.Parallel(len(tasks), func(worker, t int) {
		ws, p, from, to := &c.workers[worker], &parts[tasks[t].part], tasks[t].from, tasks[t].to
		y := p.y.Columns(from, to)
		if p.acc {
			sum := temp(&ws.gemm, x.Rows, to-from)
			f.times(sum, p.w, from)
			for i := range y.Rows {
				addRow(y.Row(i), y.Row(i), sum.Row(i))
			}
		} else {
			f.times(y, p.w, from)
		}
		for i := 0; i < y.Rows && p.bias != nil; i++ {
			addRow(y.Row(i), y.Row(i), p.bias[from:to])
		}
		if p.xa.Empty() {
			return
		}
		up := temp(&ws.gemm, x.Rows, to-from)
		(&fewX{Mat: p.xa}).times(up, p.b, from)
		for i := range y.Rows {
			addScaled(y.Row(i), up.Row(i), p.scale)
		}
	})
}

// fewTask is rows [from, to) of the weight of a part.
type fewTask struct{ part, from, to int }

// fewTasks divides the weights. A task takes a share of all that is left, so that the
// first ones read long runs of memory and the last ones end together.
func fewTasks(tasks []fewTask, parts []fewPart, rows, threads int) []fewTask {
	left := 0
	for i := range parts {
		left += parts[i].w.Rows * parts[i].w.rowBytes()
	}
	for i := range parts {
		w := &parts[i].w
		bytes, whole := w.rowBytes(), w.Rows
		if w.pairs > 0 {
			whole = w.pairs / 2 // the rows of half a head are as far apart
		}
		for from := 0; from < w.Rows; {
			n := max(min(max(left/(2*threads), fewChunk)/bytes, fewSums/rows), 4)
			to := min(from+n, from/whole*whole+whole)
			tasks = append(tasks, fewTask{i, from, to})
			left -= (to - from) * bytes
			from = to
		}
	}
	return tasks
}

// fewX is the rows of x, rounded as well where a weight needs that.
type fewX struct {
	Mat
	halves []float32 // fewHalves bytes for each 32 numbers, where a weight needs them
	pairs  []float32 // the same for pairs of blocks
}

// inHalves reports whether a type is multiplied with x of 16 bits.
func (d DType) inHalves() bool { return d >= Q4_0 && d <= Q6_K }

// lines is the bytes of a rounded row.
func (f *fewX) lines() int { return (f.Cols + part - 1) / part * fewHalves }

// round rounds x to 16 bits as the weights of the parts need it.
func (f *fewX) round(c *Context, parts []fewPart) {
	paired, other := false, false
	for _, p := range parts {
		if d := p.w.DType; has8 && d.inHalves() {
			paired, other = paired || d.inPairs(), other || !d.inPairs()
		}
	}
	if !paired && !other {
		return
	}
	n := f.lines()
	size := f.Rows * n / 4
	f.halves = grow(&c.packedA, packedFloats(2*size, 1))
	f.pairs = f.halves[size:]
	c.Parallel(f.Rows, func(_, i int) {
		x := &f.Row(i)[0]
		if other {
			simd.Halves8(f.Cols/part, x, &bytesOf(f.halves)[i*n])
		}
		if supers := f.Cols / blockOfParts; other && simd.HalvesInWords && supers > 0 {
			simd.Supers8(supers, &bytesOf(f.halves)[i*n])
		}
		if half := f.Cols / (2 * part); paired && half > 0 {
			simd.Halves8(2*half, x, &bytesOf(f.pairs)[i*n])
			simd.Pairs8(half, &bytesOf(f.pairs)[i*n])
		}
	})
}

// blockOfParts is the numbers of a block whose parts have scales of their own.
const blockOfParts = 256

// inPairs reports whether blocks of a type are multiplied two at a time.
func (d DType) inPairs() bool { return simd.HalvesInWords && (d == Q4_0 || d == Q4_1) }

// times is y[i, j] = Σ x[i, q]·w[from+j, q].
func (f *fewX) times(y Mat, w Weight, from int) {
	steps, elems, stride := 0, fewStep, w.rowBytes()
	if w.DType.Quantised() {
		elems, _ = w.DType.block()
	}
	if w.pairs > 0 {
		stride *= 2
	}
	if w.DType.inPairs() {
		elems *= 2
	}
	if has8 {
		steps = w.Cols / elems
	}
	if steps > 0 {
		table := &simd.FewRows8
		if hasDot {
			table = &simd.FewRowsDot
		}
		x, ldx := (*byte)(unsafe.Pointer(&f.Data[0])), f.Stride*4
		if w.DType.inHalves() {
			x, ldx = &bytesOf(f.halves)[0], f.lines()
			if w.DType.inPairs() {
				x = &bytesOf(f.pairs)[0]
			}
		}
		for i := 0; i < f.Rows; i += fewRows {
			n := min(fewRows, f.Rows-i)
			table[w.DType][n](y.Cols, steps, (*byte)(w.rowAt(from)), stride, (*byte)(unsafe.Add(unsafe.Pointer(x), i*ldx)), ldx, &y.Data[i*y.Stride], y.Stride*4)
		}
	}
	if done := steps * elems; done < w.Cols {
		f.rest(y, w, from, done)
	}
}

// fewRows is the most rows of x of one function.
const fewRows = 4

// rest adds the terms from done on, in plain Go.
func (f *fewX) rest(y Mat, w Weight, from, done int) {
	var row [mostK]float32
	for j := range y.Cols {
		for i := range f.Rows {
			if done == 0 {
				y.Row(i)[j] = 0
			}
		}
		for q := done; q < w.Cols; q += mostK {
			terms := row[:min(mostK, w.Cols-q)]
			w.row(terms, from+j, q)
			for i := range f.Rows {
				sum := float32(0)
				for k, v := range f.Row(i)[q : q+len(terms)] {
					sum += v * terms[k]
				}
				y.Row(i)[j] += sum
			}
		}
	}
}
