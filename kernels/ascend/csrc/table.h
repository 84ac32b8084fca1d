// Every kernel: name, cores, number of arguments. Each source has its own list.
#include "vector.table.h"
#include "rows.table.h"
#include "optimizer.table.h"
#include "head.table.h"
