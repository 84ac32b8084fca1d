#define CASE(check, name, kind, blocks, message) LORAC_KERNEL(name, kind, 4)
#include "cases.h"
#undef CASE
