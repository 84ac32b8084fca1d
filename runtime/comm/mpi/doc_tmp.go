package mpi
