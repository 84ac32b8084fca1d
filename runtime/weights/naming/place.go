package naming

import "strings"

// Place orders the parameters of a Llama as its network does, in either
// scheme: the embedding is 0, the layers follow by their index, then the last
// norm and the head.
func Place(name string) int {
	const last = 1 << 24
	switch layer := Layer(name); {
	case layer >= 0:
		return 1 + layer
	case strings.Contains(name, "tok_embeddings") || strings.Contains(name, "embed_tokens"):
		return 0
	case strings.Contains(name, "norm"):
		return last
	}
	return last + 1
}
