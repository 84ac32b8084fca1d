package kernels

// Sizes are the sizes of a model that the memory of a Context depends on.
type Sizes struct {
	Rows, Widest int   // token rows of a micro-batch, the most terms of a product
	Supervised   int   // of the rows, those the head reads
	Ranks        []int // of the adapters computed at once
	Hidden       int   // width of the model
	Vocab        int
	Trains       bool // a matrix of the layers trains, by a product over all rows
	HeadTrains   bool
	HeadSize     int // of attention
	Heads, Share int // query heads, and how many of them share a key head
	Threads      int
}

// ScratchBytes is the most memory a Context of s.Threads threads takes for the
// kernels of a model.
func ScratchBytes(s Sizes) int {
	block := min(s.Rows, blockM)
	packed := block * s.Widest
	if s.Trains {
		packed = max(packed, min(s.Widest, blockM)*s.Rows)
	}
	logits := 0
	if s.HeadTrains {
		logits = min(s.Supervised, chunk) * s.Vocab
		packed = max(packed, logits)
	}
	narrow := s.Hidden <= narrowHead
	if head := min(s.Supervised, headRows); head > 0 && !narrow {
		columns := min(headColumns, roundUp(s.Vocab, 32))
		packed = max(packed, head*columns)
		logits = max(logits, head*(columns+headPad))
	}
	sum := min(sumFloats, block*groupN*32) + block*sumPad
	perThread := max(panelFloats+sum, groupFloats8) + attentionFloats(s.HeadSize, s.Share) + s.Hidden // a row of the embedding
	if narrow {
		logits += narrowSums(min(s.Supervised, headRows), s.Hidden, s.Vocab)
		perThread += narrowFloats(min(s.Supervised, narrowRows), s.Hidden, s.Vocab)
	}
	adapters, rank := 0, 0
	mr, nr := tileSize()
	if len(s.Ranks) > 0 {
		for _, r := range s.Ranks {
			adapters += (r+31)/32*32*s.Widest + s.Rows*r // packed factors, G
			rank = max(rank, r)
		}
		perThread += 32*rank + gradCols*(gradRows+rank) + mr*blockK(nr)
	}
	return 4 * (packed + adapters + logits + s.Rows*s.Heads + s.Threads*perThread) // Rows·Heads: delta
}

// attentionFloats is the workspace attention takes of a thread.
func attentionFloats(headSize, share int) int {
	_, nr := tileSize()
	return max(forwardFloats(share, headSize, nr), gradFloats(headSize, nr), cachedFloats(share, nr))
}
