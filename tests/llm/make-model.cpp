// make-model.cpp - trains a tiny GGUF chat model of the llama architecture from scratch.
// Original code, no dependencies: g++ -O3 -march=native -ffast-math -fopenmp make-model.cpp -o make-model
// usage: make-model OUT.gguf SECONDS [TEXTFILE...]      (SECONDS=0: random weights, still loads and generates)
// The model (about 1M parameters) learns short ChatML dialogues about sensor readings, so that a real
// llama-server answers plausibly, stops by itself (finish_reason "stop") and counts tokens correctly.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <unordered_map>
#include <vector>
using std::string;
using std::vector;
typedef float v8 __attribute__((vector_size(32), aligned(4)));

static const int D = 128, L = 4, H = 4, HD = D / H, F = 384, CTX = 2048, T = 128, B = 16, V = 768;
static const float EPS = 1e-5f, ROPE_BASE = 10000.f;
static std::mt19937 rng(1234);
static float frand() { return std::uniform_real_distribution<float>(0, 1)(rng); }
static int irand(int n) { return (int)(rng() % (uint32_t)n); }

// ---------------------------------------------------------------- synthetic corpus
struct Msg {
  string role, text;
};
typedef vector<Msg> Doc;
template <class A>
static const char* pick(const A& a) {
  return a[irand((int)(sizeof(a) / sizeof(a[0])))];
}
static string num(double lo, double hi) {
  char b[32];
  snprintf(b, sizeof b, "%.1f", lo + (hi - lo) * frand());
  return b;
}

static Doc synth() {
  static const char* rooms[] = {"kitchen",    "boiler room", "hall",   "server room",
                                "greenhouse", "garage",      "office", "cold store"};
  static const char* hi[] = {"Hello", "Hi", "Good morning", "Hello there", "Hey"};
  static const char* helps[] = {"Hello! How can I help you today?",
                                "Hi! What would you like to know about your sensors?"};
  static const char* sys[] = {"You are a helpful assistant.", "You are an edge assistant. Answer in one sentence."};
  struct Q {
    const char *name, *unit;
    double lo, a, b, hi;
  };
  static const Q qs[] = {{"temperature", "C", -5, 16, 26, 45},
                         {"humidity", "%", 5, 30, 60, 99},
                         {"pressure", "hPa", 950, 990, 1030, 1060},
                         {"power", "kW", 0, 1, 6, 12}};
  Doc d;
  if (irand(2)) d.push_back({"system", pick(sys)});
  int turns = irand(4) ? 1 : 2;
  for (int t = 0; t < turns; t++) {
    string room = pick(rooms);
    const Q& q = qs[irand(4)];
    int kind = irand(8), zone = irand(3);
    double lo = zone == 0 ? q.lo : zone == 1 ? q.a : q.b, up = zone == 0 ? q.a : zone == 1 ? q.b : q.hi;
    string val = num(lo, up), state = zone == 0 ? "low" : zone == 1 ? "normal" : "high";
    string rd = string(q.name) + " in the " + room + " is " + val + " " + q.unit;
    if (kind <= 2) {
      static const char* ask[] = {"Summarize: the ", "Please summarize this reading: the ",
                                  "Classify this reading: the "};
      d.push_back({"user", pick(ask) + rd + "."});
      d.push_back({"assistant",
                   "The " + rd + ", which is " + state +
                       (zone == 1 ? ". No action is needed." : ". Please check the sensor and the " + room + ".")});
    } else if (kind == 3) {
      d.push_back({"user", string(pick(hi)) + (irand(2) ? "!" : ".")});
      d.push_back({"assistant", pick(helps)});
    } else if (kind == 4) {
      d.push_back({"user", "What is MQTT?"});
      d.push_back({"assistant",
                   "MQTT is a light publish and subscribe protocol for devices. A client sends a message to a topic, "
                   "and the broker passes it on to every subscriber."});
    } else if (kind == 5) {
      int n = 2 + irand(9);
      string s;
      for (int i = 1; i <= n; i++) s += (i > 1 ? ", " : "") + std::to_string(i);
      d.push_back({"user", "Count from 1 to " + std::to_string(n) + "."});
      d.push_back({"assistant", s + "."});
    } else if (kind == 6) {
      d.push_back({"user", "Reply in JSON: the " + rd + "."});
      d.push_back({"assistant", string("{\"sensor\": \"") + q.name + "\", \"place\": \"" + room +
                                    "\", \"value\": " + val + ", \"state\": \"" + state + "\"}"});
    } else {
      static const char* st[] = {"Tell me a long story about a sensor.", "Write a long text.",
                                 "Explain in detail how the edge worker works."};
      static const char* sent[] = {"The edge worker reads a job from the broker.",
                                   "It sends the prompt to a model on the same machine.",
                                   "The answer goes back to the topic that the job named.",
                                   "When the network is down, the answer waits in a queue.",
                                   "Each message has an id, so nothing is done twice.",
                                   "A small model is slow but private.",
                                   "The worker tells the broker that it is alive.",
                                   "If the model is busy, the worker waits and tries again.",
                                   "Old messages are thrown away after a time."};
      string s;
      int n = 8 + irand(12);
      for (int i = 0; i < n; i++) s += (i ? " " : "") + string(pick(sent));
      d.push_back({"user", pick(st)});
      d.push_back({"assistant", s});
    }
  }
  return d;
}

// ---------------------------------------------------------------- tokenizer (SentencePiece-style BPE with byte
// fallback)
static const string SP = "\xE2\x96\x81";   // U+2581 replaces the space, as llama.cpp's "llama" tokenizer expects
enum { UNK = 0, BOS = 1, IMS = 2, IME = 3, BYTE0 = 4, NFIX = 260 };
static vector<string> vocab;
static vector<float> score;
static vector<int> ttype;
static std::unordered_map<string, int> tokid;

static vector<string> chars(const string& s) {
  vector<string> r;
  for (size_t i = 0; i < s.size();) {
    unsigned char c = s[i];
    size_t n = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    if (c == ' ')
      r.push_back(SP);
    else
      r.push_back(s.substr(i, n));
    i += n;
  }
  return r;
}
static void add(const string& s, float sc, int ty) {
  tokid[s] = (int)vocab.size();
  vocab.push_back(s);
  score.push_back(sc);
  ttype.push_back(ty);
}

static void train_bpe(const vector<string>& texts) {
  add("<unk>", 0, 2);
  add("<s>", 0, 3);
  add("<|im_start|>", 0, 3);
  add("<|im_end|>", 0, 3);
  for (int i = 0; i < 256; i++) {
    char b[8];
    snprintf(b, sizeof b, "<0x%02X>", i);
    add(b, 0, 6);
  }
  std::map<vector<string>, int> words;
  std::map<string, int> cc;
  for (auto& t : texts) {
    vector<string> w;
    auto flush = [&] {
      if (!w.empty()) words[w]++;
      w.clear();
    };
    bool wasalpha = false;
    for (auto& c : chars(t)) {
      cc[c]++;
      bool alpha = c.size() == 1 && isalpha((unsigned char)c[0]);
      if (c == SP || c == "\n" || (!alpha && !(w.size() == 1 && w[0] == SP)) ||
          (alpha && !wasalpha && !(w.size() == 1 && w[0] == SP)))
        flush();
      w.push_back(c);
      wasalpha = alpha;
    }
    flush();
  }
  vector<std::pair<int, string>> cs;
  for (auto& p : cc) cs.push_back({-p.second, p.first});
  std::sort(cs.begin(), cs.end());
  for (auto& p : cs)
    if ((int)vocab.size() < V - 200) add(p.second, -1e6f, 1);   // single characters: never the product of a merge
  vector<std::pair<vector<string>, int>> ws(words.begin(), words.end());
  int rank = 0;
  while ((int)vocab.size() < V) {
    std::map<std::pair<string, string>, long> cnt;
    for (auto& w : ws)
      for (size_t i = 0; i + 1 < w.first.size(); i++) cnt[{w.first[i], w.first[i + 1]}] += w.second;
    long best = 1;
    std::pair<string, string> bp;
    for (auto& c : cnt)
      if (c.second > best && !tokid.count(c.first.first + c.first.second)) {
        best = c.second;
        bp = c.first;
      }
    if (best < 2) break;
    add(bp.first + bp.second, -(float)++rank, 1);
    for (auto& w : ws) {
      auto& v = w.first;
      vector<string> n;
      for (size_t i = 0; i < v.size(); i++) {
        if (i + 1 < v.size() && v[i] == bp.first && v[i + 1] == bp.second) {
          n.push_back(v[i] + v[i + 1]);
          i++;
        } else
          n.push_back(v[i]);
      }
      v.swap(n);
    }
  }
  while ((int)vocab.size() < V) {
    string s = "<unused" + std::to_string(vocab.size()) + ">";
    add(s, 0, 5);
  }
}
// Greedy best-score merging, as in llama.cpp. A token has a space at most at its beginning, so merging word by word
// gives the same result.
static const vector<int>& encode_word(const string& s) {
  static std::unordered_map<string, vector<int>> cache;
  auto hit = cache.find(s);
  if (hit != cache.end()) return hit->second;
  vector<string> w = chars(s);
  vector<int> out;
  for (;;) {
    float best = -1e30f;
    size_t bi = 0;
    bool f = false;
    for (size_t i = 0; i + 1 < w.size(); i++) {
      auto it = tokid.find(w[i] + w[i + 1]);
      if (it != tokid.end() && it->second >= NFIX && score[it->second] > best) {
        best = score[it->second];
        bi = i;
        f = true;
      }
    }
    if (!f) break;
    w[bi] += w[bi + 1];
    w.erase(w.begin() + bi + 1);
  }
  for (auto& t : w) {
    auto it = tokid.find(t);
    if (it != tokid.end())
      out.push_back(it->second);
    else
      for (unsigned char c : t) out.push_back(BYTE0 + c);
  }
  return cache[s] = out;
}
static void encode(const string& s, vector<int>& out) {
  for (size_t i = 0; i < s.size();) {
    size_t e = s.find(' ', i + 1);
    if (e == string::npos) e = s.size();
    for (int t : encode_word(s.substr(i, e - i))) out.push_back(t);
    i = e;
  }
}
static void encode_doc(const Doc& d, vector<int>& out) {
  out.push_back(BOS);
  for (auto& m : d) {
    out.push_back(IMS);
    encode(m.role + "\n" + m.text, out);
    out.push_back(IME);
    encode("\n", out);
  }
}

// ---------------------------------------------------------------- matrices
// C[M,N] (+)= A[M,K] * Bm[K,N]; M % 4 == 0, N % 16 == 0
static void gemm(const float* A, const float* Bm, float* C, int M, int N, int K, bool acc) {
#pragma omp parallel
  {
    vector<float> pk((size_t)K * 16);  // one panel of 16 columns, packed so that the inner loop reads memory in order
#pragma omp for schedule(static)
    for (int j = 0; j < N; j += 16) {
      for (int k = 0; k < K; k++) memcpy(&pk[(size_t)k * 16], Bm + (size_t)k * N + j, 64);
      for (int i = 0; i < M; i += 4) {
        v8 c[4][2];
        const float* a0 = A + (size_t)i * K;
        const float* p = pk.data();
        for (int r = 0; r < 4; r++)
          for (int q = 0; q < 2; q++) c[r][q] = acc ? *(v8*)(C + (size_t)(i + r) * N + j + 8 * q) : v8{};
        for (int k = 0; k < K; k++, p += 16) {
          v8 b0 = *(const v8*)p, b1 = *(const v8*)(p + 8);
#pragma GCC unroll 4
          for (int r = 0; r < 4; r++) {
            float a = a0[(size_t)r * K + k];
            c[r][0] += a * b0;
            c[r][1] += a * b1;
          }
        }
        for (int r = 0; r < 4; r++)
          for (int q = 0; q < 2; q++) *(v8*)(C + (size_t)(i + r) * N + j + 8 * q) = c[r][q];
      }
    }
  }
}
static void transpose(const float* A, float* R, int M, int N) {  // A[M,N] -> R[N,M]
#pragma omp parallel for schedule(static)
  for (int i0 = 0; i0 < M; i0 += 16)
    for (int j0 = 0; j0 < N; j0 += 16)
      for (int i = i0; i < std::min(M, i0 + 16); i++)
        for (int j = j0; j < std::min(N, j0 + 16); j++) R[(size_t)j * M + i] = A[(size_t)i * N + j];
}
struct Par {
  string name;
  int rows, cols;
  vector<float> w, g, m, v;
};
static vector<Par> P;
static int newp(const string& n, int r, int c, float sd) {
  Par p;
  p.name = n;
  p.rows = r;
  p.cols = c;
  size_t N = (size_t)r * c;
  p.w.resize(N);
  p.g.assign(N, 0);
  p.m.assign(N, 0);
  p.v.assign(N, 0);
  std::normal_distribution<float> nd(0, sd);
  for (auto& x : p.w) x = sd > 0 ? nd(rng) : 1.f;
  P.push_back(std::move(p));
  return (int)P.size() - 1;
}
static vector<float> tmpA, tmpB;
static void lin(const vector<float>& X, int p, vector<float>& Y, int M) {  // Y = X W^T
  tmpA.resize(P[p].w.size());
  transpose(P[p].w.data(), tmpA.data(), P[p].rows, P[p].cols);
  Y.resize((size_t)M * P[p].rows);
  gemm(X.data(), tmpA.data(), Y.data(), M, P[p].rows, P[p].cols, false);
}
static void lin_back(const vector<float>& X, int p, const vector<float>& dY, vector<float>& dX, int M, bool acc) {
  dX.resize((size_t)M * P[p].cols);
  gemm(dY.data(), P[p].w.data(), dX.data(), M, P[p].cols, P[p].rows, acc);
  tmpB.resize(dY.size());
  transpose(dY.data(), tmpB.data(), M, P[p].rows);
  gemm(tmpB.data(), X.data(), P[p].g.data(), P[p].rows, P[p].cols, M, true);
}
static void rms(const vector<float>& X, int p, vector<float>& Y, vector<float>& inv, int M) {
  Y.resize((size_t)M * D);
  inv.resize(M);
  const float* w = P[p].w.data();
#pragma omp parallel for
  for (int i = 0; i < M; i++) {
    const float* x = &X[(size_t)i * D];
    float s = 0;
    for (int j = 0; j < D; j++) s += x[j] * x[j];
    float r = 1 / std::sqrt(s / D + EPS);
    inv[i] = r;
    for (int j = 0; j < D; j++) Y[(size_t)i * D + j] = x[j] * r * w[j];
  }
}
static void rms_back(const vector<float>& X, int p, const vector<float>& inv, const vector<float>& dY,
                     vector<float>& dX, int M) {  // dX +=
  float* w = P[p].w.data();
  float* g = P[p].g.data();
  for (int i = 0; i < M; i++) {
    const float *x = &X[(size_t)i * D], *dy = &dY[(size_t)i * D];
    float r = inv[i], s = 0;
    float* dx = &dX[(size_t)i * D];
    for (int j = 0; j < D; j++) {
      s += dy[j] * w[j] * x[j];
      g[j] += dy[j] * x[j] * r;
    }
    s *= r * r * r / D;
    for (int j = 0; j < D; j++) dx[j] += dy[j] * w[j] * r - x[j] * s;
  }
}
static vector<float> rc, rs;
static void rope(vector<float>& X, int M, float sign) {  // adjacent pairs, llama.cpp's ROPE_TYPE_NORM
  if (rc.empty()) {
    rc.resize((size_t)T * HD / 2);
    rs = rc;
    for (int t = 0; t < T; t++)
      for (int i = 0; i < HD / 2; i++) {
        float a = t * std::pow(ROPE_BASE, -2.f * i / HD);
        rc[t * HD / 2 + i] = std::cos(a);
        rs[t * HD / 2 + i] = std::sin(a);
      }
  }
#pragma omp parallel for
  for (int m = 0; m < M; m++) {
    int t = m % T;
    for (int h = 0; h < H; h++)
      for (int i = 0; i < HD / 2; i++) {
        float* x = &X[(size_t)m * D + h * HD + 2 * i];
        float c = rc[t * HD / 2 + i], s = sign * rs[t * HD / 2 + i], a = x[0], b = x[1];
        x[0] = a * c - b * s;
        x[1] = a * s + b * c;
      }
  }
}

struct Lay {
  int an, q, k, v, o, fn, g, u, d;
};
struct Act {
  vector<float> x, xn, inv, q, k, v, att, ao, x2, xn2, inv2, g, u, h;
};
static Lay lay[L];
static Act act[L];
static int EMB, ON;

static double step(const vector<int>& in, const vector<int>& tgt) {  // forward + backward; returns mean loss
  const int M = B * T;
  vector<float> x((size_t)M * D), y, inv;
  for (int i = 0; i < M; i++) memcpy(&x[(size_t)i * D], &P[EMB].w[(size_t)in[i] * D], D * 4);
  const float sc = 1 / std::sqrt((float)HD);
  for (int l = 0; l < L; l++) {
    Act& a = act[l];
    Lay& p = lay[l];
    a.x = x;
    rms(x, p.an, a.xn, a.inv, M);
    lin(a.xn, p.q, a.q, M);
    lin(a.xn, p.k, a.k, M);
    lin(a.xn, p.v, a.v, M);
    rope(a.q, M, 1);
    rope(a.k, M, 1);
    a.att.resize((size_t)B * H * T * T);
    a.ao.assign((size_t)M * D, 0);
#pragma omp parallel for collapse(2)
    for (int b = 0; b < B; b++)
      for (int h = 0; h < H; h++)
        for (int t = 0; t < T; t++) {
          float* A = &a.att[(((size_t)b * H + h) * T + t) * T];
          const float* q = &a.q[((size_t)b * T + t) * D + h * HD];
          float mx = -1e30f, s = 0;
          for (int u = 0; u <= t; u++) {
            const float* k = &a.k[((size_t)b * T + u) * D + h * HD];
            float z = 0;
            for (int i = 0; i < HD; i++) z += q[i] * k[i];
            A[u] = z * sc;
            mx = std::max(mx, A[u]);
          }
          for (int u = 0; u <= t; u++) {
            A[u] = std::exp(A[u] - mx);
            s += A[u];
          }
          float* o = &a.ao[((size_t)b * T + t) * D + h * HD];
          for (int u = 0; u <= t; u++) {
            A[u] /= s;
            const float* v = &a.v[((size_t)b * T + u) * D + h * HD];
            for (int i = 0; i < HD; i++) o[i] += A[u] * v[i];
          }
        }
    lin(a.ao, p.o, y, M);
    for (size_t i = 0; i < x.size(); i++) x[i] += y[i];
    a.x2 = x;
    rms(x, p.fn, a.xn2, a.inv2, M);
    lin(a.xn2, p.g, a.g, M);
    lin(a.xn2, p.u, a.u, M);
    a.h.resize(a.g.size());
#pragma omp parallel for
    for (size_t i = 0; i < a.h.size(); i++) a.h[i] = a.g[i] / (1 + std::exp(-a.g[i])) * a.u[i];
    lin(a.h, p.d, y, M);
    for (size_t i = 0; i < x.size(); i++) x[i] += y[i];
  }
  vector<float> xn, lg;
  rms(x, ON, xn, inv, M);
  lin(xn, EMB, lg, M);
  double loss = 0;
  int n = 0;
  for (int t : tgt) n += t >= 0;
#pragma omp parallel for reduction(+ : loss)
  for (int i = 0; i < M; i++) {
    float* z = &lg[(size_t)i * V];
    if (tgt[i] < 0) {
      memset(z, 0, V * 4);
      continue;
    }
    float mx = z[0];
    for (int j = 1; j < V; j++) mx = std::max(mx, z[j]);
    float s = 0;
    for (int j = 0; j < V; j++) {
      z[j] = std::exp(z[j] - mx);
      s += z[j];
    }
    loss -= std::log(z[tgt[i]] / s + 1e-20f);
    float k = 1.f / n;
    for (int j = 0; j < V; j++) z[j] *= k / s;
    z[tgt[i]] -= k;
  }
  // backward
  for (auto& p : P) std::fill(p.g.begin(), p.g.end(), 0.f);
  vector<float> dxn, dx((size_t)M * D, 0.f), dao, dq, dk, dv, dg, du, dh;
  lin_back(xn, EMB, lg, dxn, M, false);
  rms_back(x, ON, inv, dxn, dx, M);
  for (int l = L - 1; l >= 0; l--) {
    Act& a = act[l];
    Lay& p = lay[l];
    lin_back(a.h, p.d, dx, dh, M, false);
    dg.resize(dh.size());
    du.resize(dh.size());
#pragma omp parallel for
    for (size_t i = 0; i < dh.size(); i++) {
      float s = 1 / (1 + std::exp(-a.g[i])), si = a.g[i] * s;
      du[i] = dh[i] * si;
      dg[i] = dh[i] * a.u[i] * (s + si * (1 - s));
    }
    lin_back(a.xn2, p.g, dg, dxn, M, false);
    lin_back(a.xn2, p.u, du, dxn, M, true);
    rms_back(a.x2, p.fn, a.inv2, dxn, dx, M);
    lin_back(a.ao, p.o, dx, dao, M, false);
    dq.assign((size_t)M * D, 0);
    dk = dq;
    dv = dq;
#pragma omp parallel for collapse(2)
    for (int b = 0; b < B; b++)
      for (int h = 0; h < H; h++)
        for (int t = 0; t < T; t++) {
          const float* A = &a.att[(((size_t)b * H + h) * T + t) * T];
          size_t rq = ((size_t)b * T + t) * D + h * HD;
          float dA[T], s = 0;
          for (int u = 0; u <= t; u++) {
            size_t ru = ((size_t)b * T + u) * D + h * HD;
            float z = 0;
            for (int i = 0; i < HD; i++) {
              z += dao[rq + i] * a.v[ru + i];
              dv[ru + i] += A[u] * dao[rq + i];
            }
            dA[u] = z;
            s += z * A[u];
          }
          for (int u = 0; u <= t; u++) {
            size_t ru = ((size_t)b * T + u) * D + h * HD;
            float z = A[u] * (dA[u] - s) * sc;
            for (int i = 0; i < HD; i++) {
              dq[rq + i] += z * a.k[ru + i];
              dk[ru + i] += z * a.q[rq + i];
            }
          }
        }
    rope(dq, M, -1);
    rope(dk, M, -1);
    lin_back(a.xn, p.q, dq, dxn, M, false);
    lin_back(a.xn, p.k, dk, dxn, M, true);
    lin_back(a.xn, p.v, dv, dxn, M, true);
    rms_back(a.x, p.an, a.inv, dxn, dx, M);
  }
  for (int i = 0; i < M; i++)
    for (int j = 0; j < D; j++) P[EMB].g[(size_t)in[i] * D + j] += dx[(size_t)i * D + j];
  return loss / n;
}
static void adam(int it, float lr) {
  double gn = 0;
  for (auto& p : P)
    for (float g : p.g) gn += (double)g * g;
  float clip = std::min(1.0, 1.0 / (std::sqrt(gn) + 1e-9)), b1 = 1 - std::pow(0.9f, it), b2 = 1 - std::pow(0.98f, it);
  for (auto& p : P) {
    size_t n = p.w.size();
    float wd = p.rows > 1 ? 0.05f : 0;
#pragma omp parallel for
    for (size_t i = 0; i < n; i++) {
      float g = p.g[i] * clip;
      p.m[i] = 0.9f * p.m[i] + 0.1f * g;
      p.v[i] = 0.98f * p.v[i] + 0.02f * g * g;
      p.w[i] -= lr * (p.m[i] / b1 / (std::sqrt(p.v[i] / b2) + 1e-8f) + wd * p.w[i]);
    }
  }
}

// ---------------------------------------------------------------- GGUF v3
static string out;
template <class X>
static void put(X x) {
  out.append((const char*)&x, sizeof x);
}
static void puts_(const string& s) {
  put<uint64_t>(s.size());
  out += s;
}
static uint64_t nkv = 0;
static void key(const char* k, uint32_t ty) {
  puts_(k);
  put(ty);
  nkv++;
}
static void ku(const char* k, uint32_t v) {
  key(k, 4);
  put(v);
}
static void kf(const char* k, float v) {
  key(k, 6);
  put(v);
}
static void kb(const char* k, bool v) {
  key(k, 7);
  put<uint8_t>(v);
}
static void ks(const char* k, const string& v) {
  key(k, 8);
  puts_(v);
}
static uint16_t half(float f) {  // round to nearest even, no infinities expected
  uint32_t x;
  memcpy(&x, &f, 4);
  uint32_t s = (x >> 16) & 0x8000;
  int e = (int)((x >> 23) & 255) - 112;
  uint32_t m = x & 0x7fffff;
  if (e <= 0) {
    if (e < -10) return (uint16_t)s;
    m |= 0x800000;
    int sh = 14 - e;
    uint32_t r = m >> sh, rem = m & ((1u << sh) - 1), hb = 1u << (sh - 1);
    if (rem > hb || (rem == hb && (r & 1))) r++;
    return (uint16_t)(s | r);
  }
  if (e >= 31) return (uint16_t)(s | 0x7bff);
  uint32_t r = (uint32_t)(e << 10) | (m >> 13), rem = m & 0x1fff;
  if (rem > 0x1000 || (rem == 0x1000 && (r & 1))) r++;
  return (uint16_t)(s | r);
}
static void write_gguf(const char* path, const string& name) {
  out.clear();
  nkv = 0;
  ks("general.architecture", "llama");
  ks("general.name", name);
  ks("general.license", "CC0-1.0");
  ku("general.file_type", 1);
  ku("general.alignment", 32);
  ku("llama.block_count", L);
  ku("llama.context_length", CTX);
  ku("llama.embedding_length", D);
  ku("llama.feed_forward_length", F);
  ku("llama.attention.head_count", H);
  ku("llama.attention.head_count_kv", H);
  kf("llama.attention.layer_norm_rms_epsilon", EPS);
  ku("llama.rope.dimension_count", HD);
  kf("llama.rope.freq_base", ROPE_BASE);
  ku("llama.vocab_size", V);
  ks("tokenizer.ggml.model", "llama");
  ks("tokenizer.ggml.pre", "default");
  key("tokenizer.ggml.tokens", 9);
  put<uint32_t>(8);
  put<uint64_t>(V);
  for (auto& s : vocab) puts_(s);
  key("tokenizer.ggml.scores", 9);
  put<uint32_t>(6);
  put<uint64_t>(V);
  for (float s : score) put(s);
  key("tokenizer.ggml.token_type", 9);
  put<uint32_t>(5);
  put<uint64_t>(V);
  for (int t : ttype) put<int32_t>(t);
  ku("tokenizer.ggml.bos_token_id", BOS);
  ku("tokenizer.ggml.eos_token_id", IME);
  ku("tokenizer.ggml.unknown_token_id", UNK);
  ku("tokenizer.ggml.padding_token_id", UNK);
  kb("tokenizer.ggml.add_bos_token", true);
  kb("tokenizer.ggml.add_eos_token", false);
  kb("tokenizer.ggml.add_space_prefix", false);
  ks("tokenizer.chat_template",
     "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' "
     "}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}");
  string kvs;
  kvs.swap(out);
  uint64_t off = 0;
  for (auto& p : P) {
    puts_(p.name);
    bool m = p.rows > 1;
    put<uint32_t>(m ? 2 : 1);
    put<uint64_t>(p.cols);
    if (m) put<uint64_t>(p.rows);
    put<uint32_t>(m ? 1 : 0);
    put<uint64_t>(off);
    off += ((uint64_t)p.w.size() * (m ? 2 : 4) + 31) / 32 * 32;
  }
  string tis;
  tis.swap(out);
  out = "GGUF";
  put<uint32_t>(3);
  put<uint64_t>(P.size());
  put<uint64_t>(nkv);
  out += kvs;
  out += tis;
  out.resize((out.size() + 31) / 32 * 32, 0);
  for (auto& p : P) {
    for (float f : p.w) {
      if (p.rows > 1)
        put(half(f));
      else
        put(f);
    }
    out.resize((out.size() + 31) / 32 * 32, 0);
  }
  std::ofstream(path, std::ios::binary).write(out.data(), (std::streamsize)out.size());
}

int main(int argc, char** argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: make-model OUT.gguf SECONDS [TEXTFILE...]\n");
    return 2;
  }
  double secs = atof(argv[2]);
  vector<string> paras;
  for (int i = 3; i < argc; i++) {
    std::ifstream f(argv[i]);
    std::stringstream ss;
    ss << f.rdbuf();
    string s = ss.str(), cur;
    size_t pos = 0;
    while (pos <= s.size()) {
      size_t e = s.find("\n\n", pos);
      if (e == string::npos) e = s.size();
      cur = s.substr(pos, e - pos);
      pos = e + 2;
      string c2;
      for (char c : cur) {
        if (c == '\n' || c == '\t') c = ' ';
        if (c == ' ' && (c2.empty() || c2.back() == ' ')) continue;
        c2 += c;
      }
      if (c2.size() > 60) paras.push_back(c2);
    }
  }
  vector<string> texts;
  for (int i = 0; i < 3000; i++)
    for (auto& m : synth()) texts.push_back(m.role + "\n" + m.text);
  for (auto& p : paras) texts.push_back(p);
  train_bpe(texts);
  EMB = newp("token_embd.weight", V, D, 0.05f);
  for (int l = 0; l < L; l++) {
    string b = "blk." + std::to_string(l) + ".";
    float o = 0.05f / std::sqrt(2.f * L);
    lay[l] = {newp(b + "attn_norm.weight", 1, D, 0),   newp(b + "attn_q.weight", D, D, .05f),
              newp(b + "attn_k.weight", D, D, .05f),   newp(b + "attn_v.weight", D, D, .05f),
              newp(b + "attn_output.weight", D, D, o), newp(b + "ffn_norm.weight", 1, D, 0),
              newp(b + "ffn_gate.weight", F, D, .05f), newp(b + "ffn_up.weight", F, D, .05f),
              newp(b + "ffn_down.weight", D, F, o)};
  }
  ON = newp("output_norm.weight", 1, D, 0);
  size_t np = 0;
  for (auto& p : P) np += p.w.size();
  fprintf(stderr, "parameters %zu, vocabulary %d, paragraphs %zu\n", np, V, paras.size());
  auto t0 = std::chrono::steady_clock::now();
  auto el = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - t0).count(); };
  vector<vector<int>> rows(B);
  double avg = 0;
  int it = 0;
  while (secs > 0 && el() < secs) {
    vector<int> in, tg;
    for (int b = 0; b < B; b++) {
      vector<int> s;
      while ((int)s.size() < T + 1) {
        if (!paras.empty() && irand(4) == 0) {
          s.push_back(BOS);
          encode(paras[irand((int)paras.size())], s);
        } else
          encode_doc(synth(), s);
      }
      for (int t = 0; t < T; t++) {
        in.push_back(s[t]);
        tg.push_back(s[t + 1]);
      }
    }
    it++;
    float fr = (float)(el() / secs),
          lr = 3e-3f * std::min(1.f, it / 50.f) * (0.05f + 0.95f * 0.5f * (1 + std::cos(3.14159f * fr)));
    double ls = step(in, tg);
    adam(it, lr);
    avg = it == 1 ? ls : 0.95 * avg + 0.05 * ls;
    if (it % 50 == 1)
      fprintf(stderr, "step %d  loss %.3f  %.0f tokens/s  %.0f s\n", it, avg, it * (double)B * T / el(), el());
  }
  write_gguf(argv[1], "edge-tiny-1m");
  fprintf(stderr, "wrote %s: %zu bytes, loss %.3f after %d steps, %.0f s\n", argv[1], out.size(), avg, it, el());
}
