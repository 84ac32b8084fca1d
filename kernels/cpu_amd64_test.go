package kernels

func setCPU(a512, a2 bool) { has512, has256 = a512, a2 }
