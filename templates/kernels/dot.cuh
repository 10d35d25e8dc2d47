// The sum over two axes of a product of two tensors, in fp32 and in one fixed order.

/// Mirrors lathe::DotSizes (compiler/cuda/Dot.h). A block has one element of `to`.
struct Args {
  const float* a;
  const void* b;
  float* to;
  int64 heads, rows, columns;
  int64 aStrides[4], bStrides[4];
};

template <class B, int THREADS>
__device__ __forceinline__ void dotOfBlock(const Args& x, float* shared) {
  const int64 sequence = blockIdx.x / x.heads, head = blockIdx.x % x.heads;
  const float* const a = x.a + sequence * x.aStrides[0] + head * x.aStrides[1];
  const B* const b = static_cast<const B*>(x.b) + sequence * x.bStrides[0] + head * x.bStrides[1];
  float sum = 0.0f;
#pragma unroll 4
  for (int64 i = threadIdx.x; i < x.rows * x.columns; i += THREADS) {
    const int64 row = i / x.columns, column = i % x.columns;
    sum += a[row * x.aStrides[2] + column * x.aStrides[3]] *
           toFloat(b[row * x.bStrides[2] + column * x.bStrides[3]]);
  }
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2)
    sum += __shfl_xor_sync(~0u, sum, offset);
  if (threadIdx.x % 32 == 0)
    shared[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x > 0)
    return;
  for (int i = 1; i < THREADS / 32; ++i)
    sum += shared[i];
  x.to[blockIdx.x] = sum;
}
