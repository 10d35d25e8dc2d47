// Sums a dense tensor over some of its axes, in fp32 and in one fixed order.

/// Mirrors lathe::SumSizes (compiler/cuda/Sum.h). Element (i0, i1, i2, i3) of `to` is the sum of
/// `count` elements of `from`, `step` apart.
struct Args {
  const void* from;
  void* to;
  int64 sizes[4], fromStrides[4], toStrides[4];
  int64 count, step;
  const void* starts;
  int sequences, wide;

  __device__ __forceinline__ int64 start(int index) const {
    return wide ? static_cast<const int64*>(starts)[index] : static_cast<const int*>(starts)[index];
  }
  __device__ __forceinline__ bool isOfASequence(int64 token) const {
    return !starts || (token >= start(0) && token < start(sequences));
  }
};

/// LANES threads add up one element: 32 where there are few of many terms.
template <class FROM, class TO, int LANES, int THREADS>
__device__ __forceinline__ void sumAxes(const Args& x) {
  const int64 elements = x.sizes[0] * x.sizes[1] * x.sizes[2] * x.sizes[3];
  const int64 thread = blockIdx.x * int64(THREADS) + threadIdx.x;
  int64 element = thread / LANES;
  const int lane = int(thread % LANES);
  if (element >= elements)
    return;
  int64 from = lane * x.step, to = 0;
#pragma unroll
  for (int axis = 3; axis >= 0; --axis) {
    const int64 i = element % x.sizes[axis];
    element /= x.sizes[axis];
    if (axis == 1 && !x.isOfASequence(i))
      return;
    from += i * x.fromStrides[axis];
    to += i * x.toStrides[axis];
  }
  float sum = 0;
#pragma unroll 4
  for (int64 i = lane; i < x.count; i += LANES, from += LANES * x.step)
    sum += toFloat(static_cast<const FROM*>(x.from)[from]);
#pragma unroll
  for (int offset = LANES / 2; offset > 0; offset /= 2)
    sum += __shfl_xor_sync(~0u, sum, offset);
  if (lane == 0)
    static_cast<TO*>(x.to)[to] = fromFloat<TO>(sum);
}
