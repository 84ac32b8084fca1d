package kernels

// Scalar is a number that a kernel makes and others read: a loss, the norm of
// gradients, a clip coefficient. Programs take its Value only where they need it
// themselves: on a device that waits for all kernels before.
type Scalar float64

// Number is a number that the program knows.
func Number(x float64) Scalar { return Scalar(x) }

// Value is the number.
func (s Scalar) Value() float64 { return float64(s) }
