// Every kernel: name, cores, number of arguments. Each source has its own list.
#include "linear.table.h"
#include "dropped.table.h"
#include "attention.table.h"
#include "attention_grad.table.h"
#include "vector.table.h"
#include "rows.table.h"
#include "optimizer.table.h"
#include "head.table.h"
