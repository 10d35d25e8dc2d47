/* What can be wrong with the tensors of a call, and its text. */
#include "expect.h"

enum { B = 2, T = 3, H = 4, K = 8, V = 4, most = 8, bytes = 8192 };

static float memory[most][bytes];
static int64_t keys[] = {B, T, H, K}, values[] = {B, T, H, V}, states[] = {B, H, K, V};
static DLTensor own[most];
static const DLTensor* tensors[most];
static lathe_kernel* kernel = NULL;
static lathe_call call;

enum { q, k, v, g, o, initialS, finalS }; /* The places of gla. */

static void reset(void) {
  const lathe_call initial = LATHE_CALL_INIT;
  call = initial;
  for (int i = 0; i < 7; ++i) {
    own[i] = tensorOf(memory[i], 4, i == v || i == o ? values : i > o ? states : keys);
    tensors[i] = &own[i];
  }
  call.tensors = tensors;
  call.tensor_count = 7;
}

#define EXPECT_TEXT(text)                                                                          \
  EXPECT_ERROR(lathe_launch(kernel, &call, NULL), LATHE_ERROR_ARGUMENT, text);                     \
  reset()

static void structs(void) {
  size_t need = 1;
  EXPECT_ERROR(lathe_launch(NULL, &call, NULL), LATHE_ERROR_ARGUMENT, "kernel is null");
  EXPECT_ERROR(lathe_launch(kernel, NULL, NULL), LATHE_ERROR_ARGUMENT, "call is null");
  EXPECT_ERROR(lathe_workspace(NULL, &call, &need), LATHE_ERROR_ARGUMENT, "kernel is null");
  EXPECT_ERROR(lathe_workspace(kernel, NULL, &need), LATHE_ERROR_ARGUMENT, "call is null");
  EXPECT_ERROR(lathe_workspace(kernel, &call, NULL), LATHE_ERROR_ARGUMENT, "bytes is null");
  EXPECT_ERROR(lathe_launch(kernel, &call, &call), LATHE_ERROR_ARGUMENT,
               "stream is not null; the kernel is for the CPU, which has none");
  call.struct_size = 96;
  EXPECT_TEXT("lathe_call.struct_size is 96; it must be 80, the sizeof of ABI version 1");
  call.tensor_count = 6;
  EXPECT_TEXT("6 tensors were given; the kernel takes 7: q, k, v, g, o, initial S, final S");
  call.tensors = NULL;
  EXPECT_TEXT("lathe_call.tensors is null; it must point to 7 tensors: q, k, v, g, o, initial S, "
              "final S");
  const double numbers[] = {1, 2};
  call.constants = numbers;
  call.constant_count = 2;
  EXPECT_TEXT("2 constants were given; the kernel takes 1, or 0 for the defaults");
  call.constant_count = 1;
  call.constants = NULL;
  EXPECT_TEXT("lathe_call.constants is null; it must point to 1 numbers, or constant_count be 0");
  call.threads = -2;
  EXPECT_TEXT("threads is -2; it must be at least 1, or 0 for as many as there are processors");
}

static void single(void) {
  const DLDataType f64 = {kDLFloat, 64, 1}, pair = {kDLFloat, 32, 2}, bf16 = {kDLBfloat, 16, 1},
                   odd = {99, 7, 1};
  tensors[k] = NULL;
  EXPECT_TEXT("argument 'k' is null; the kernel needs it");
  tensors[o] = NULL;
  EXPECT_TEXT("argument 'o' is null; the kernel needs it");
  own[q].dtype = f64;
  EXPECT_TEXT("argument 'q' is float64; it must be f32");
  own[q].dtype = pair;
  EXPECT_TEXT("argument 'q' is float32x2; it must be f32");
  own[q].dtype = bf16;
  EXPECT_TEXT("argument 'q' is bf16; it must be f32");
  own[q].dtype = odd;
  EXPECT_TEXT("argument 'q' is of the DLPack type 99 with 7 bits; it must be f32");
  own[v].device.device_type = kDLCUDA;
  own[v].device.device_id = 1;
  EXPECT_TEXT("argument 'v' is on CUDA device 1; the kernel is for the CPU");
  own[v].device.device_type = kDLMetal;
  EXPECT_TEXT("argument 'v' is on a device of type 8; the kernel is for the CPU (1)");
  own[g].ndim = 3;
  EXPECT_TEXT("argument 'g' has shape [2, 3, 4]; it must have 4 axes: [batch, tokens, heads, K=8]");
  own[g].ndim = -1;
  EXPECT_TEXT("argument 'g' has -1 axes; there must be 0 or more");
  own[g].shape = NULL;
  EXPECT_TEXT("argument 'g' has 4 axes, but its shape is null");
  own[v].shape = keys;
  EXPECT_TEXT("argument 'v' has shape [2, 3, 4, 8]; it must be [batch, tokens, heads, V=4]");
  int64_t negative[] = {B, -3, H, K}, longer[] = {B, T + 1, H, K}, three[] = {B, T, 3, K},
          two[] = {B, T, 2, V}, other[] = {B + 1, H, K, V};
  own[q].shape = negative;
  EXPECT_TEXT("argument 'q' has the negative size -3 on axis 1");
  own[k].shape = longer;
  EXPECT_TEXT("argument 'k' has shape [2, 4, 4, 8]; it must have [2, 3, 4, 8], [batch, tokens, "
              "heads, K=8], as 'q' and the most heads of any tensor say, or fewer heads that "
              "divide them");
  own[k].shape = three;
  EXPECT_TEXT("argument 'k' has shape [2, 3, 3, 8]; it must have [2, 3, 4, 8], [batch, tokens, "
              "heads, K=8], as 'q' and the most heads of any tensor say, or fewer heads that "
              "divide them");
  own[o].shape = two;
  EXPECT_TEXT("argument 'o' has shape [2, 3, 2, 4]; it must have [2, 3, 4, 4], [batch, tokens, "
              "heads, V=4], as 'q' and the most heads of any tensor say");
  own[initialS].shape = other;
  EXPECT_TEXT("argument 'initial S' has shape [3, 4, 8, 4]; it must have [2, 4, 8, 4], [sequences, "
              "heads, K=8, V=4], as 'q' and the most heads of any tensor say");
}

static void memoryOf(void) {
  own[v].data = NULL;
  EXPECT_TEXT("argument 'v' has no data");
  own[finalS].data = NULL;
  EXPECT_TEXT("argument 'final S' has no data; pass a null tensor where there is none");
  own[k].byte_offset = 2;
  EXPECT_TEXT("argument 'k' is not aligned to the 4 bytes of its elements");
  int64_t turned[] = {T * H * K, H * K, 1, H}, shared[] = {0, H * V, V, 1},
          exchanged[] = {H * K * V, K * V, 1, K};
  own[q].strides = turned;
  EXPECT_TEXT("argument 'q' has the stride 4 on its last axis; it must be 1");
  own[o].strides = shared;
  EXPECT_TEXT("argument 'o' has strides [0, 16, 4, 1], by which elements share memory; it is "
              "written, so each must have its own");
  own[initialS].strides = exchanged;
  EXPECT_TEXT("argument 'initial S' has the stride 8 on its last axis; it must be 1");
  own[o].data = own[v].data;
  EXPECT_TEXT("argument 'o' begins where 'v' does; it is written, so it must have memory of its "
              "own");
  int64_t apart[] = {2 * H * K * V, K * V, V, 1};
  own[finalS].data = own[initialS].data;
  own[finalS].strides = apart;
  EXPECT_TEXT("argument 'final S' begins where 'initial S' does with the strides [256, 32, 4, 1]; "
              "a state that is updated in place must have its own, [128, 32, 4, 1]");
}

static void lists(void) {
  const DLDataType i32 = {kDLInt, 32, 1};
  int32_t starts[] = {0, 2, 3};
  int64_t three[] = {3}, one[] = {1, 3}, none[] = {0};
  DLTensor list = tensorOf(starts, 1, three);
  call.cu_seqlens = &list;
  EXPECT_TEXT("argument 'cu_seqlens' is float32; it must be int32 or int64");
  list.dtype = i32;
  call.cu_seqlens = &list;
  EXPECT_TEXT("argument 'q' has batch 2; with cu_seqlens it must be 1, as sequences follow each "
              "other on the token axis");
  list.ndim = 2;
  list.shape = one;
  call.cu_seqlens = &list;
  EXPECT_TEXT("argument 'cu_seqlens' has 2 axes; it must have 1");
  list.ndim = 1;
  list.shape = none;
  call.cu_seqlens = &list;
  EXPECT_TEXT("argument 'cu_seqlens' has shape [0]; it must hold at least the token at which the "
              "first sequence begins");
  list.shape = three;
  keys[0] = values[0] = 1;
  starts[1] = 5;
  call.cu_seqlens = &list;
  EXPECT_TEXT("variant gla: cu_seqlens [0, 5, 3] must begin with 0, never fall, and end with the "
              "number of tokens, 3");
  keys[0] = values[0] = B;
  call.slots = &list;
  EXPECT_TEXT("argument 'slots' is not null; pools of states are for CUDA, on the CPU state n is "
              "that of sequence n");
}

int main(void) {
  kernel = prepare("gla", LATHE_FORWARD, "K=8,V=4");
  reset();
  structs();
  single();
  memoryOf();
  lists();
  EXPECT(lathe_launch(kernel, &call, NULL) == LATHE_OK); /* The call was right but for the one. */
  lathe_kernel_free(kernel);
  return finish("tensors");
}
