// Forward of a scan: S_t = D_t S_{t-1} + key_t * value_t, read by query_t @ S, in chunks (portable
// form, sm_80 and up).
//
// A thread block walks one head's sequence for kBlockV columns of V. The state is held transposed
// in fp32 accumulators: V rows over the warps, K over the fragment's columns, so that its rounded
// copy is an A operand as it stands and the state never passes through shared memory. With G the
// cumulative log-decay of a chunk and S its starting state, per chunk:
//   O^T = S^T (Q e^G)^T + V^T P^T,   S^T <- e^{G_C} S^T + V^T (K e^{G_C - G}).
// In reverse, from the last chunk to the first, the decay of a token comes behind its read:
//   O^T = S^T (Q e^{G_C - G})^T + V^T P^T,   S^T <- e^{G_C} S^T + V^T (K e^G).

template <class V> struct Scan {
  using Element = typename V::Element;
  using F = Fragments<Element>;

  const Args& args;
  char* const shared;
  const int thread = threadIdx.x, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int tile = blockIdx.x % V::kTiles;
  const int head = blockIdx.x / V::kTiles % args.heads;
  const Sequence sequence = args.sequence(blockIdx.x / V::kTiles / args.heads, V::kMirrored);
  const int column =
      tile * V::kBlockV + warp * 16;  ///< Of this warp's first row of the transposed state.
  float state[V::kPaddedK / 8][4];
  float normaliser[V::kNormaliserLength] = {};
  float gateTotal = 0.0f;

  __device__ __forceinline__ float* floats(int offset) const {
    return reinterpret_cast<float*>(shared + offset);
  }
  __device__ __forceinline__ Element* elements(int offset) const {
    return reinterpret_cast<Element*>(shared + offset);
  }

  /// Calls f(key channel, column of V, element of the state) for all elements that this thread
  /// holds.
  template <class Function> __device__ __forceinline__ void eachStateElement(Function f) {
#pragma unroll
    for (int n = 0; n < V::kPaddedK / 8; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        int d = n * 8 + lane % 4 * 2 + e % 2, v = column + lane / 4 + e / 2 * 8;
        f(d, v, state[n][e]);
      }
  }

  __device__ __forceinline__ void loadState() {
    const auto initial = V::template initialState<0>(args, sequence, head);
    eachStateElement([&](int d, int v, float& s) {
      s = initial && d < V::kK && v < V::kV ? toFloat(initial(d, v)) : 0.0f;
    });
    if constexpr (V::kNormaliser) {
      const auto sum = V::template initialState<1>(args, sequence, head);
#pragma unroll
      for (int i = 0; i < V::kNormaliserLength; ++i) {
        int d = (i * V::kWarps + warp) * 32 + lane;
        normaliser[i] = sum && d < V::kK ? toFloat(sum(d, 0)) : 0.0f;
      }
    }
  }

  __device__ __forceinline__ void storeState() {
    if (auto last = V::template finalState<0>(args, sequence, head))
      eachStateElement([&](int d, int v, float& s) {
        if (d < V::kK && v < V::kV)
          last(d, v) = fromFloat<typename V::template State<0>>(s);
      });
    if constexpr (V::kNormaliser) {
      auto sum = V::template finalState<1>(args, sequence, head);
#pragma unroll
      for (int i = 0; i < V::kNormaliserLength; ++i) {
        int d = (i * V::kWarps + warp) * 32 + lane;
        if (sum && tile == 0 && d < V::kK)
          sum(d, 0) = fromFloat<typename V::template State<1>>(normaliser[i]);
      }
    }
  }

  /// One decay a token: G of every chunk in log2 units and the factors made of it.
  __device__ __forceinline__ void cumulateScalar() {
    const float* gate = floats(V::kSlotOffset) + V::kGateSlot * V::kBlock;
    float* cumulative = floats(V::kCumulativeOffset);
    for (int chunk = warp; chunk < V::kBlock / V::kChunk; chunk += V::kWarps) {
      float carried = 0.0f;
#pragma unroll
      for (int part = 0; part < V::kChunk; part += 32) {
        int token = chunk * V::kChunk + part + lane;
        bool inside = part + lane < V::kChunk;
        float own = inside ? gate[token] * kLog2E : 0.0f, sum = own;
#pragma unroll
        for (int offset = 1; offset < 32; offset *= 2) {
          float before = __shfl_up_sync(~0u, sum, offset);
          sum += lane >= offset ? before : 0.0f;
        }
        sum += carried;
        carried = __shfl_sync(~0u, sum, 31);
        if (inside) {
          cumulative[token] = V::kReverse ? -sum : sum;
          cumulative[V::kBlock + token] = V::kReverse ? -sum : V::kReadsBefore ? sum - own : sum;
        }
      }
      __syncwarp();
      for (int token = chunk * V::kChunk + lane; token < (chunk + 1) * V::kChunk; token += 32) {
        const float read = cumulative[V::kBlock + token], written = -cumulative[token];
        cumulative[2 * V::kBlock + token] = exp2(V::kReverse ? carried + read : read);
        cumulative[3 * V::kBlock + token] = exp2(V::kReverse ? written : carried + written);
      }
      if (lane == 0)
        floats(V::kTotalOffset)[chunk] = exp2(carried);
    }
  }

  /// A decay of every key channel: queries and keys of every chunk take their factors e^{G_i} and
  /// e^{G_C - G_j} in place, or in reverse e^{G_C - G_i} and e^{G_j}.
  __device__ __forceinline__ void decayChannels(Element* query, Element* key,
                                                const typename V::Gate* gate) {
    for (int item = thread; item < V::kPaddedK * (V::kBlock / 16); item += V::kThreads) {
      int d = item % V::kPaddedK, chunk = item / V::kPaddedK;
      float cumulative[16], sum = 0.0f;
#pragma unroll
      for (int t = 0; t < 16; ++t) {
        float own = d < V::kK ? toFloat(gate[(chunk * 16 + t) * V::kPitchGate + d]) * kLog2E : 0.0f;
        cumulative[t] = V::kReadsBefore ? sum : sum + own;
        sum += own;
      }
      float after = sum;
#pragma unroll
      for (int t = 15; t >= 0; --t) {
        Element& q = query[(chunk * 16 + t) * V::kPitchK + d];
        Element& k = key[(chunk * 16 + t) * V::kPitchK + d];
        const float start = V::kReverse ? sum - cumulative[t] : cumulative[t];
        q = fromFloat<Element>(toFloat(q) * exp2(start));
        if constexpr (!V::kReadsBefore)
          after = cumulative[t];
        k = fromFloat<Element>(toFloat(k) * exp2(V::kReverse ? after : sum - after));
        if constexpr (V::kReadsBefore)
          after = cumulative[t];
      }
      floats(V::kTotalOffset)[chunk * V::kPaddedK + d] = exp2(sum);
    }
  }

  __device__ __forceinline__ void decayState(int chunk) {
    const float* total = floats(V::kTotalOffset);
    if constexpr (V::kDecay == Decay::scalar) {
      float factor = total[chunk];
#pragma unroll
      for (int n = 0; n < V::kPaddedK / 8; ++n)
#pragma unroll
        for (int e = 0; e < 4; ++e)
          state[n][e] *= factor;
    } else if constexpr (V::kDecay == Decay::keys) {
#pragma unroll
      for (int n = 0; n < V::kPaddedK / 8; ++n) {
        float2 f =
            *reinterpret_cast<const float2*>(total + chunk * V::kPaddedK + n * 8 + lane % 4 * 2);
        state[n][0] *= f.x, state[n][1] *= f.y, state[n][2] *= f.x, state[n][3] *= f.y;
      }
    } else if constexpr (V::kDecay == Decay::values) {
      const float* own = total + chunk * V::kBlockV + warp * 16 + lane / 4;
      const float upper = own[0], lower = own[8];
#pragma unroll
      for (int n = 0; n < V::kPaddedK / 8; ++n)
        state[n][0] *= upper, state[n][1] *= upper, state[n][2] *= lower, state[n][3] *= lower;
    }
  }

  /// What a chunk reads of the state decays over V, and what its tokens read of each other is
  /// added.
  __device__ __forceinline__ void decayRead(float (&out)[V::kChunk / 8][4], int chunk,
                                            int stage) const {
    const int column = warp * 16 + lane / 4;
    const typename V::Gate* entry = V::gate(shared, stage) + column;
    const Element* own = elements(V::kOwnOffset) + column;
#pragma unroll
    for (int n = 0; n < V::kChunk / 8; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int token = chunk * V::kChunk + n * 8 + lane % 4 * 2 + e % 2, v = e / 2 * 8;
        out[n][e] = out[n][e] * toFloat(entry[token * V::kPitchGate + v]) +
                    toFloat(own[token * V::kPitchV + v]);
      }
  }

  /// Output and next state of one chunk, for this warp's 16 columns of V.
  __device__ __forceinline__ void advance(int chunk, int stage, int firstToken, int rows) {
    const Element* query = V::query(shared, stage) + chunk * V::kChunk * V::kPitchK;
    const Element* key = V::key(shared, stage) + chunk * V::kChunk * V::kPitchK;
    const Element* value = V::value(shared, stage) + chunk * V::kChunk * V::kPitchV + warp * 16;
    const Element* scores = elements(V::kScoreOffset) + chunk * V::kChunk * V::kPitchP;
    const float* factors = floats(V::kCumulativeOffset) + chunk * V::kChunk;
    float out[V::kChunk / 8][4] = {};
#pragma unroll
    for (int step = 0; step < V::kPaddedK / F::kStep; ++step) {
      FragmentA a = F::fromAccumulator(state, step);
#pragma unroll
      for (int n = 0; n < V::kChunk / 16; ++n)
        mma16<Element>(out[2 * n], out[2 * n + 1], a,
                       F::rowsB(query + n * 16 * V::kPitchK + step * F::kStep, V::kPitchK, lane));
    }
    if constexpr (V::kDecay == Decay::scalar) {
#pragma unroll
      for (int n = 0; n < V::kChunk / 8; ++n)
#pragma unroll
        for (int e = 0; e < 4; ++e)
          out[n][e] *= factors[2 * V::kBlock + n * 8 + lane % 4 * 2 + e % 2];
    }
    if constexpr (V::kDecay == Decay::values)
      decayRead(out, chunk, stage);
    decayState(chunk);
#pragma unroll
    for (int step = 0; step < V::kChunk / F::kStep; ++step) {
      FragmentA a = F::columnsA(value + step * F::kStep * V::kPitchV, V::kPitchV, lane);
      constexpr bool kOwnRead = V::kDecay == Decay::values;
#pragma unroll
      for (int n = V::kReverse ? 0 : step * F::kStep / 16;
           n < (V::kReverse ? step * F::kStep / 16 + 1 : V::kChunk / 16) && !kOwnRead; ++n)
        mma16<Element>(out[2 * n], out[2 * n + 1], a,
                       F::rowsB(scores + n * 16 * V::kPitchP + step * F::kStep, V::kPitchP, lane));
      if constexpr (V::kDecay == Decay::scalar)
        F::scaleColumns(a, factors + 3 * V::kBlock + step * F::kStep, lane);
#pragma unroll
      for (int n = 0; n < V::kPaddedK / 16; ++n)
        mma16<Element>(state[2 * n], state[2 * n + 1], a,
                       F::columnsB(key + step * F::kStep * V::kPitchK + n * 16, V::kPitchK, lane));
    }
    writeOutputs<0>(out, chunk, stage, firstToken, rows);
  }

  template <int I>
  __device__ __forceinline__ void writeOutputs(const float (&out)[V::kChunk / 8][4], int chunk,
                                               int stage, int firstToken, int rows) {
    if constexpr (I < V::kOutputs) {
      using Out = typename V::template Output<I>;
      const Tensor& tensor = V::template outputTensor<I>(args);
      const int64 stride = tensor.stride(sequence);
      Out* base = tensor.template at<Out>(sequence, head) + firstToken * stride;
      bool paired = sizeof(Out) == 2 && rowAlignment<Out>(tensor) >= 4;
#pragma unroll
      for (int n = 0; n < V::kChunk / 8; ++n) {
        int token = chunk * V::kChunk + n * 8;
        float y[4];
#pragma unroll
        for (int e = 0; e < 4; ++e)
          y[e] = V::template finish<I>(args, shared, stage, token + lane % 4 * 2 + e % 2,
                                       warp * 16 + lane / 4 + e / 2 * 8, tile, head, firstToken,
                                       out[n][e]);
        if constexpr (sizeof(Out) == 2) {
          token += lane / 4;
#pragma unroll
          for (int half = 0; half < 2; ++half) {
            uint32 pair = transposeMatrix(pack<Out>(y[half * 2], y[half * 2 + 1]));
            int v = column + half * 8 + lane % 4 * 2;
            Out* target = base + token * stride + v;
            if (token < rows && paired && v + 1 < V::kV) {
              *reinterpret_cast<uint32*>(target) = pair;
            } else if (token < rows) {
              if (v < V::kV)
                target[0] = Out{uint16(pair)};
              if (v + 1 < V::kV)
                target[1] = Out{uint16(pair >> 16)};
            }
          }
        } else {
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            int i = token + lane % 4 * 2 + e % 2, v = column + lane / 4 + e / 2 * 8;
            if (i < rows && v < V::kV)
              base[i * stride + v] = y[e];
          }
        }
      }
      writeOutputs<I + 1>(out, chunk, stage, firstToken, rows);
    }
  }

  /// From loaded tiles to outputs, for one block of tokens.
  __device__ __forceinline__ void process(int stage, int firstToken, int rows) {
    Element* query = V::query(shared, stage);
    Element* key = V::key(shared, stage);
    typename V::Gate* gate = V::gate(shared, stage);
    float* slots = floats(V::kSlotOffset);
    if constexpr (V::kRowProgram) {
#pragma unroll 1
      for (int token = warp; token < V::kBlock; token += V::kWarps)
        V::rowProgram(args, shared, stage, token, token < rows, tile, sequence, head, firstToken,
                      lane);
      __syncthreads();
    }
    if constexpr (V::kDecay == Decay::scalar) {
      cumulateScalar();
      __syncthreads();
    }
    Element* scores = elements(V::kScoreOffset);
    if constexpr (V::kDecay == Decay::keys)
      scoreChunksByChannel<V>(scores, query, key, gate, rows, warp, lane);
    else
      scoreChunks<V>(scores, query, key, floats(V::kCumulativeOffset),
                     floats(V::kCumulativeOffset) + V::kBlock, rows, warp, lane);
    if constexpr (V::kNormaliser)
      normaliseTokens<V>(normaliser, floats(V::kNormaliserOffset), query, key,
                         slots + V::kGateSlot * V::kBlock, gate, rows, warp, lane);
    __syncthreads();
    if constexpr (V::kDecay == Decay::keys) {
      decayChannels(query, key, gate);
      __syncthreads();
    } else if constexpr (V::kDecay == Decay::values) {
      decayValues<V>(V::value(shared, stage), gate, scores, elements(V::kOwnOffset),
                     floats(V::kTotalOffset), V::kV - tile * V::kBlockV, thread);
      __syncthreads();
    }
    const int chunks = (rows + V::kChunk - 1) / V::kChunk;
#pragma unroll 1
    for (int chunk = 0; chunk < chunks; ++chunk)
      advance(V::kReverse ? chunks - 1 - chunk : chunk, stage, firstToken, rows);
  }

  __device__ __forceinline__ void run() {
    int blocks = (sequence.tokens + V::kBlock - 1) / V::kBlock;
    auto firstOf = [&](int block) {
      return (V::kReverse ? blocks - 1 - block : block) * V::kBlock;
    };
    typename V::Copies copies(args, sequence, head, tile);
    typename V::Scalars scalars[(V::kBlock + V::kThreads - 1) / V::kThreads];
    loadState();
    // The first kStages rounds only fill the pipeline; one round a block follows.
#pragma unroll 1
    for (int block = -V::kStages; block < blocks; ++block) {
      int firstToken = firstOf(block);
      int rows = min(V::kBlock, sequence.tokens - firstToken);
#pragma unroll
      for (int i = 0; i * V::kThreads < V::kBlock; ++i) {
        int token = i * V::kThreads + thread;
        if (block >= 0 && token < V::kBlock)
          V::scalarProgram(args, scalars[i], floats(V::kSlotOffset) + token, head,
                           firstToken + token, token < rows);
        int next = firstOf(block + 1) + token;
        bool exists = block + 1 >= 0 && block + 1 < blocks && next < sequence.tokens;
        scalars[i].load(args, sequence, head, next, exists);
      }
      if (block >= 0) {
        waitCopies<V::kStages - 1>();
        __syncthreads();
        process(block % V::kStages, firstToken, rows);
        __syncthreads();
      }
      int ahead = block + V::kStages;
      if (ahead < blocks)
        copies.issue(shared, ahead % V::kStages, firstOf(ahead), sequence.tokens - firstOf(ahead),
                     thread);
      commitCopies();
    }
    storeState();
  }
};
