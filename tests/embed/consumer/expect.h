/* The few words of these tests, in C99. */
#pragma once

#include <lathe/lathe.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures = 0;

static inline void expect(int isTrue, const char* what, int line) {
  if (isTrue)
    return;
  printf("line %d: %s\n  lathe_last_error: %s\n", line, what, lathe_last_error());
  ++failures;
}

#define EXPECT(condition) expect(condition, #condition, __LINE__)

/* That a call fails so, and what the text says. */
static inline void expectError(lathe_status found, lathe_status wanted, const char* text,
                               int line) {
  const char* said = lathe_last_error();
  if (found == wanted && strcmp(said, text) == 0)
    return;
  printf("line %d: status %d\n  %s\nwanted %d\n  %s\n", line, (int)found, said, (int)wanted, text);
  ++failures;
}

#define EXPECT_ERROR(call, status, text) expectError(call, status, text, __LINE__)

static inline lathe_kernel* prepare(const char* name, lathe_pass pass, const char* dims) {
  lathe_variant* variant = NULL;
  lathe_kernel* kernel = NULL;
  lathe_options options = LATHE_OPTIONS_INIT;
  options.pass = pass;
  options.dims = dims;
  EXPECT(lathe_load(name, &variant) == LATHE_OK);
  EXPECT(lathe_prepare(variant, &options, &kernel) == LATHE_OK);
  lathe_variant_free(variant);
  if (!kernel)
    exit(1);
  return kernel;
}

static inline DLTensor tensorOf(void* data, int axes, int64_t* shape) {
  const DLDevice cpu = {kDLCPU, 0};
  const DLDataType f32 = {kDLFloat, 32, 1};
  DLTensor tensor;
  tensor.data = data;
  tensor.device = cpu;
  tensor.ndim = axes;
  tensor.dtype = f32;
  tensor.shape = shape;
  tensor.strides = NULL;
  tensor.byte_offset = 0;
  return tensor;
}

/* The place of a tensor in lathe_call.tensors. */
static inline size_t placeOf(const lathe_kernel* kernel, const char* name) {
  size_t i = 0;
  for (const char* own; (own = lathe_tensor_name(kernel, i)); ++i)
    if (strcmp(own, name) == 0)
      return i;
  printf("the kernel takes no %s\n", name);
  exit(1);
}

static inline size_t countOf(const lathe_kernel* kernel) {
  size_t count = 0;
  while (lathe_tensor_name(kernel, count))
    ++count;
  return count;
}

static inline int finish(const char* program) {
  printf("%s: %s\n", program, failures ? "FAILED" : "passed");
  return failures ? 1 : 0;
}
